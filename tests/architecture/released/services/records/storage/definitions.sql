-- name: get_pipeline
-- The newest definition that was heard of.
select definition::text from pipelines where tenant_id = $1 and id = $2;

-- name: put_pipeline
-- Keeps a definition unless a newer one is there.
insert into pipelines (tenant_id, id, version, definition) values ($1, $2, $3, $4::text::jsonb)
on conflict (tenant_id, id) do update set version = excluded.version, definition = excluded.definition
where pipelines.version < excluded.version
returning true;

-- name: get_type -> RelationshipType
-- A type by its name, or by the name of its inverse.
select id, name, version, inverse_name, source_pipeline, target_pipeline, cardinality, on_delete, deleted
from relationship_types where tenant_id = $1 and (name = $2 or inverse_name = $2) and not deleted
order by name = $2 desc, id limit 1;

-- name: get_type_name
-- The name a type had when it was last heard of.
select name from relationship_types where tenant_id = $1 and id = $2;

-- name: put_type
-- Keeps a type unless a newer version of it is there.
insert into relationship_types (tenant_id, id, name, version, inverse_name, source_pipeline, target_pipeline,
    cardinality, on_delete, deleted)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (tenant_id, id) do update
set name = excluded.name, version = excluded.version, inverse_name = excluded.inverse_name,
    source_pipeline = excluded.source_pipeline, target_pipeline = excluded.target_pipeline,
    cardinality = excluded.cardinality, on_delete = excluded.on_delete, deleted = excluded.deleted
where relationship_types.version < excluded.version;

-- name: delete_rules
-- What deleting a target does, by the name of the type; types without a rule unlink.
select name, on_delete from relationship_types where tenant_id = $1 and name = any($2::text[]) and not deleted;

-- name: pipeline_ids
-- The pipelines that are not in the trash.
select id from pipelines where tenant_id = $1 and definition->>'deleted' is distinct from 'true' order by id limit $2;

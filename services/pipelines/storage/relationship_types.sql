-- name: lock_types
-- One creation at a time in a tenant, so that the count is right.
select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 8));

-- name: count_types
select count(*) from relationship_types where tenant_id = $1;

-- name: insert_type
insert into relationship_types (
    tenant_id, id, version, name, inverse_name, source_pipeline, target_pipeline, cardinality, on_delete, implicit,
    created_at, created_by, updated_at, updated_by
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: update_type
update relationship_types set
    version = $3, name = $4, inverse_name = $5, source_pipeline = $6, target_pipeline = $7, cardinality = $8,
    on_delete = $9, implicit = $10, created_at = $11, created_by = $12, updated_at = $13, updated_by = $14
where tenant_id = $1 and id = $2;

-- name: delete_type
delete from relationship_types where tenant_id = $1 and id = $2;

-- name: get_type -> RelationshipType
select
    id, version, name, inverse_name, source_pipeline, target_pipeline, cardinality, on_delete, implicit,
    created_at, created_by, updated_at, updated_by
from relationship_types where tenant_id = $1 and id = $2;

-- name: lock_type -> RelationshipType
-- The same, held until the transaction ends.
select
    id, version, name, inverse_name, source_pipeline, target_pipeline, cardinality, on_delete, implicit,
    created_at, created_by, updated_at, updated_by
from relationship_types where tenant_id = $1 and id = $2 for update;

-- name: find_type -> RelationshipType
select
    id, version, name, inverse_name, source_pipeline, target_pipeline, cardinality, on_delete, implicit,
    created_at, created_by, updated_at, updated_by
from relationship_types where tenant_id = $1 and name = $2;

-- name: find_called -> RelationshipType
-- The same by its name, or else by its inverse's.
select
    id, version, name, inverse_name, source_pipeline, target_pipeline, cardinality, on_delete, implicit,
    created_at, created_by, updated_at, updated_by
from relationship_types where tenant_id = $1 and (name = $2 or inverse_name = $2) order by name <> $2 limit 1;

-- name: list_types -> RelationshipType
select
    id, version, name, inverse_name, source_pipeline, target_pipeline, cardinality, on_delete, implicit,
    created_at, created_by, updated_at, updated_by
from relationship_types where tenant_id = $1 and id > $2 order by id limit $3;

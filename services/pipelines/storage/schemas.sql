-- name: insert_plan
-- A plan; those that are past their time go.
with gone as (delete from schema_plans where tenant_id = $1 and expires_at < now() - interval '1 hour')
insert into schema_plans (tenant_id, id, pipeline_id, version, evolution, changes, created_by, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: get_plan -> PlanRow
-- A plan of a pipeline.
select id, version, evolution, changes, expires_at from schema_plans
where tenant_id = $1 and pipeline_id = $2 and id = $3;

-- name: delete_plan
delete from schema_plans where tenant_id = $1 and id = $2;

-- name: put_trash
-- A field that was removed.
insert into field_trash (tenant_id, pipeline_id, key, field, version, removed_at, removed_by)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: list_trash -> TrashRow
-- The removed fields of a pipeline, the last first; of one name, or of all where that is null.
select key, field, version, removed_at, removed_by from field_trash
where tenant_id = $1 and pipeline_id = $2 and ($3::text is null or field->>'name' = $3)
order by version desc, key;

-- name: take_trash
-- Fields that come back, or are gone for good.
delete from field_trash where tenant_id = $1 and pipeline_id = $2 and key = any($3::text[]);

-- name: list_versions -> VersionRow
-- Versions below one, the last first.
select version, definition, changed_at, changed_by from pipeline_versions
where tenant_id = $1 and pipeline_id = $2 and version < $3 order by version desc limit $4;

-- name: count_versions
select count(*) from pipeline_versions where tenant_id = $1 and pipeline_id = $2;

-- name: get_version -> VersionRow
-- One version.
select version, definition, changed_at, changed_by from pipeline_versions
where tenant_id = $1 and pipeline_id = $2 and version = $3;

-- name: asked_since
-- What versions after one asked of records, in order.
select one.value as pending
from pipeline_versions v cross join lateral jsonb_array_elements(coalesce(v.definition->'pending', '[]')) as one (value)
where v.tenant_id = $1 and v.pipeline_id = $2 and v.version > $3 and (one.value->>'version')::bigint = v.version
order by v.version;

-- name: lock_creation
-- One creation at a time in a tenant, so that counts and derived slugs are right.
select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 7));

-- name: count_pipelines
-- How many the caller may see, in the trash or out of it; the scope is null for all.
select count(*) from pipelines
where tenant_id = $1 and ($2::uuid[] is null or id = any($2)) and (deleted_at is not null) = $3;

-- name: by_slugs
-- The pipelines that have these slugs.
select slug, id, name from pipelines where tenant_id = $1 and deleted_at is null and slug = any($2::text[]);

-- name: taken_slugs
-- The slugs that begin alike.
select slug from pipelines where tenant_id = $1 and deleted_at is null and starts_with(slug, $2);

-- name: insert_pipeline
insert into pipelines (
    tenant_id, id, version, slug, name, description, icon, color, title_template, fields,
    created_at, created_by, updated_at, updated_by, deleted_at, rules, require_if_match,
    claims, pending
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19);

-- name: update_pipeline
update pipelines set
    version = $3, slug = $4, name = $5, description = $6, icon = $7, color = $8, title_template = $9, fields = $10,
    created_at = $11, created_by = $12, updated_at = $13, updated_by = $14, deleted_at = $15,
    rules = $16, require_if_match = $17, claims = $18, pending = $19
where tenant_id = $1 and id = $2;

-- name: keep_version
-- The version as it is now, for good.
insert into pipeline_versions (tenant_id, pipeline_id, version, definition, changed_at, changed_by)
select
    tenant_id, id, version,
    jsonb_build_object(
        'slug', slug, 'name', name, 'description', description, 'icon', icon, 'color', color,
        'title_template', title_template, 'fields', fields, 'rules', rules,
        'require_if_match', require_if_match, 'deleted', deleted_at is not null, 'pending', pending
    ),
    updated_at, updated_by
from pipelines where tenant_id = $1 and id = $2;

-- name: settle_pipeline
-- What jobs have not done yet, by now.
update pipelines set pending = $3 where tenant_id = $1 and id = $2;

-- name: get_pipeline -> PipelineRow
select
    id, version, slug, name, description, icon, color, title_template, fields, rules, require_if_match,
    created_at, created_by, updated_at, updated_by, deleted_at, claims, pending
from pipelines where tenant_id = $1 and id = $2;

-- name: lock_pipeline -> PipelineRow
-- The same, held until the transaction ends.
select
    id, version, slug, name, description, icon, color, title_template, fields, rules, require_if_match,
    created_at, created_by, updated_at, updated_by, deleted_at, claims, pending
from pipelines where tenant_id = $1 and id = $2 for update;

-- name: list_pipelines -> PipelineRow
-- In the trash or out of it; the scope is null for all.
select
    id, version, slug, name, description, icon, color, title_template, fields, rules, require_if_match,
    created_at, created_by, updated_at, updated_by, deleted_at, claims, pending
from pipelines
where tenant_id = $1 and id > $2 and ($3::uuid[] is null or id = any($3)) and (deleted_at is not null) = $4
order by id limit $5;

-- name: find_pipelines -> PipelineRow
-- Those of the ids that exist, out of the trash.
select
    id, version, slug, name, description, icon, color, title_template, fields, rules, require_if_match,
    created_at, created_by, updated_at, updated_by, deleted_at, claims, pending
from pipelines where tenant_id = $1 and id = any($2) and deleted_at is null;

-- name: lock_speaking -> PipelineRow
-- A pipeline and those with fields that may speak of its fields, held until the transaction ends, in one order.
select
    id, version, slug, name, description, icon, color, title_template, fields, rules, require_if_match,
    created_at, created_by, updated_at, updated_by, deleted_at, claims, pending
from pipelines
where tenant_id = $1 and (id = $2 or exists (
    select from jsonb_array_elements(fields) as field (value)
    where field.value ->> 'type' in ('relation', 'lookup', 'rollup')
        and field.value ->> 'target_pipeline' = $2::uuid::text
))
order by id for update;

-- name: leading -> Leading
-- The relation fields over which records lead to those of a pipeline, at once or by others; those in the trash as well.
with recursive relation as materialized (
    select p.id as pipeline_id, field.value ->> 'name' as field, (field.value ->> 'target_pipeline')::uuid as target
    from pipelines p cross join lateral jsonb_array_elements(p.fields) as field (value)
    where p.tenant_id = $1 and field.value ->> 'type' = 'relation'
), reaching (pipeline_id) as (
    select $2::uuid
    union
    select relation.pipeline_id from relation join reaching on relation.target = reaching.pipeline_id
)
select pipeline_id, field, target from relation
where target in (select reaching.pipeline_id from reaching) order by pipeline_id, field limit $3;

-- name: relation_users
-- The relation fields of a type, and those that look through it, as `pipeline.field`; pipelines in the trash may come back.
select p.slug || '.' || (field.value ->> 'name') as name
from pipelines p cross join lateral jsonb_array_elements(p.fields) as field (value)
where p.tenant_id = $1 and field.value ->> 'type' in ('relation', 'lookup', 'rollup')
    and field.value ->> 'relationship_type' = $2
order by 1;

-- name: lock_computed
-- One change at a time of what computed fields of a tenant look at.
select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 13));

-- name: computed_pipelines -> PipelineRow
-- Those with fields that look at other pipelines, also those in the trash.
select
    id, version, slug, name, description, icon, color, title_template, fields, rules, require_if_match,
    created_at, created_by, updated_at, updated_by, deleted_at, claims, pending
from pipelines where tenant_id = $1 and (fields @> '[{"type": "lookup"}]' or fields @> '[{"type": "rollup"}]');

-- name: authored -> Scanned
-- Of the next records by id, those that a person made or was the last to change.
with scanned as (
    select id, pipeline_id, created_by, updated_by, created_at, updated_at from records
    where tenant_id = $1 and id > $2 order by id limit $3
)
select (select count(*) from scanned) as count, (select id from scanned order by id desc limit 1) as last,
    0::bigint as version,
    coalesce((
        select jsonb_agg(jsonb_build_object(
            'kind', 'record', 'id', id, 'pipeline_id', pipeline_id, 'made', created_by = $4, 'changed', updated_by = $4
        ) order by id)
        from scanned where $4 in (created_by, updated_by)
    ), '[]') as items;

-- name: acted -> Scanned
-- Of the next lines of history, those of a person.
with scanned as (
    select record_id, version, operation, actor_id, at from history
    where tenant_id = $1 and (record_id, version) > ($2, $3) order by record_id, version limit $4
), last as (select record_id, version from scanned order by record_id desc, version desc limit 1)
select (select count(*) from scanned) as count, (select record_id from last) as last,
    coalesce((select version from last), 0) as version,
    coalesce((
        select jsonb_agg(jsonb_build_object(
            'kind', 'change', 'record_id', record_id, 'version', version, 'operation', operation, 'at', at
        ) order by record_id, version)
        from scanned where actor_id = $5
    ), '[]') as items;

-- name: anonymize -> Anonymized
-- Of the next lines of history, those of a person lose the name.
with scanned as (
    select record_id, version from history
    where tenant_id = $1 and (record_id, version) > ($2, $3) order by record_id, version limit $4
), last as (select record_id, version from scanned order by record_id desc, version desc limit 1),
changed as (
    update history h set actor_name = $6 from scanned s
    where h.tenant_id = $1 and h.record_id = s.record_id and h.version = s.version
        and h.actor_id = $5 and h.actor_name <> $6
    returning 1
)
select (select count(*) from scanned) as count, (select record_id from last) as last,
    coalesce((select version from last), 0) as version, (select count(*) from changed) as changed;

-- name: anonymize_definitions
-- The name of who changed a definition last.
update pipelines set definition = jsonb_set(definition, '{by,name}', to_jsonb($3::text))
where tenant_id = $1 and definition #>> '{by,id}' = $2::uuid::text;

-- name: holding
-- The next records of a pipeline that hold these values; data that is very large is left out.
select id, title, case when octet_length(data::text) <= $6 then data end as data from records
where tenant_id = $1 and pipeline_id = $2 and data @> $3 and id > $4 order by id limit $5;

-- name: pipelines
select definition from pipelines where tenant_id = $1 and id > $2 order by id limit 1;

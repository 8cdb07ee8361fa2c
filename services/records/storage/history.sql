-- name: page -> HistoryRow
-- The history of a record, newest first; of one actor, or of fields, where these are named.
select version, operation, changes::text as changes, actor_id, actor_kind, actor_name, at, client::text as client
from history
where tenant_id = $1 and record_id = $2 and version < $3
    and ($5::uuid is null or actor_id = $5) and ($6::text[] is null or changes ?| $6)
order by version desc limit $4;

-- name: count
-- How many lines there are in all.
select count(*) from history
where tenant_id = $1 and record_id = $2
    and ($3::uuid is null or actor_id = $3) and ($4::text[] is null or changes ?| $4);

-- name: moment -> Moment
-- The last line of a record's history at a version, or else at a time.
select version, operation, actor_id, at from history
where tenant_id = $1 and record_id = $2 and version <= coalesce($3::bigint, version)
    and at <= coalesce($4::timestamptz, at)
order by version desc limit 1;

-- name: present
-- A record with all its data, and which grants' rules hold on it.
select r.version, {data}::text as data,
    to_char(r.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at, r.created_by,
    {passes} as passes
from records r where r.tenant_id = $1 and r.pipeline_id = $2 and r.id = $3 and r.deleted_at is null;

-- name: passes_then
-- Which grants' rules would hold on a record if it still were as it once was.
select {passes} as passes from (
    select tenant_id, id, pipeline_id, $3::bigint as version, $4::text as title, $5::jsonb as data, created_at,
        created_by, $6::timestamptz as updated_at, $7::uuid as updated_by, deleted_at
    from records where tenant_id = $1 and id = $2
) r;

-- name: changes_since
-- The values at a version of the fields that were changed after it.
select distinct on (field.key) field.key as name, (field.value->'old')::text as base
from history h, jsonb_each(h.changes) as field(key, value)
where h.tenant_id = $1 and h.record_id = $2 and h.version > $3
order by field.key, h.version;

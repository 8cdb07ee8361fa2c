-- name: hold
-- The newest version of a definition; whoever makes a newer one waits for this transaction.
select hold_definition($1, $2);

-- name: writers
-- The transactions that write to a pipeline now.
with mark as (select hashtextextended($1::uuid::text || $2::uuid::text, 11) as key)
select l.virtualtransaction from pg_locks l, mark
where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database())
    and l.objsubid = 1 and l.mode = 'ShareLock' and l.granted
    and l.classid::bigint = (mark.key >> 32 & 4294967295) and l.objid::bigint = (mark.key & 4294967295);

-- name: next_live
-- The next records of a pipeline, in the order of their ids.
select id from records where tenant_id = $1 and pipeline_id = $2 and id > $3 and deleted_at is null order by id limit $4;

-- name: next_trashed
-- The same of those in the trash.
select id from records where tenant_id = $1 and pipeline_id = $2 and id > $3 and deleted_at is not null
order by id limit $4;

-- name: count
-- How many records a pipeline has, in the trash as well.
select count(1) from records where tenant_id = $1 and pipeline_id = $2;

-- name: live
-- How many records a pipeline has that are not in the trash.
select count(1) from records where tenant_id = $1 and pipeline_id = $2 and deleted_at is null;

-- name: values
-- What the next records have in some fields.
select id, (select jsonb_object_agg(f.key, f.value) from jsonb_each(data) f where f.key = any($3::text[]))::text as found
from records where tenant_id = $1 and pipeline_id = $2 and id > $4 and deleted_at is null order by id limit $5;

-- name: lock -> Locked
-- Records to be brought along, but for those that someone is writing.
select id, pipeline_id, version, title, data::text as data,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at, created_by,
    to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as updated_at, updated_by,
    deleted_at is not null as deleted, null::boolean[] as reads, null::boolean[] as updates, null::boolean[] as deletes,
    fenced
from records where tenant_id = $1 and id = any($2::uuid[]) order by id for update skip locked;

-- name: shape
-- Other data for records that are locked; it says the same as before by other names.
update records r set data = next.data::jsonb, title = next.title
from unnest($2::uuid[], $3::text[], $4::text[]) as next(id, title, data)
where r.tenant_id = $1 and r.id = next.id;

-- name: keep
-- Puts values into the trash of fields.
insert into trashed_values (tenant_id, pipeline_id, key, record_id, version, value)
select $1, $2, gone.key, gone.record_id, 0, gone.value::jsonb
from unnest($3::text[], $4::uuid[], $5::text[]) as gone(key, record_id, value)
on conflict (tenant_id, pipeline_id, key, record_id, version) do update set value = excluded.value;

-- name: take_back
-- Takes values out of the trash of fields.
delete from trashed_values
where tenant_id = $1 and pipeline_id = $2 and key = any($3::text[]) and record_id = any($4::uuid[]) and version = 0
returning key, record_id, value::text as value;

-- name: rename_history
-- A field goes by another name in the history of records.
update history set changes = changes - $3::text || jsonb_build_object($4::text, changes->$3::text)
where tenant_id = $1 and record_id = any($2::uuid[]) and changes ? $3::text;

-- name: keep_history
-- What the history of records says of a field goes into the trash.
with gone as (
    update history set changes = changes - $4::text
    where tenant_id = $1 and record_id = any($3::uuid[]) and changes ? $4::text
    returning record_id, version, old.changes->$4::text as value
)
insert into trashed_values (tenant_id, pipeline_id, key, record_id, version, value)
select $1, $2, $5, record_id, version, value from gone
on conflict (tenant_id, pipeline_id, key, record_id, version) do update set value = excluded.value;

-- name: take_back_history
-- And out of it again.
with back as (
    delete from trashed_values
    where tenant_id = $1 and pipeline_id = $2 and record_id = any($3::uuid[]) and key = $4 and version > 0
    returning record_id, version, value
)
update history h set changes = jsonb_build_object($5::text, back.value) || h.changes
from back where h.tenant_id = $1 and h.record_id = back.record_id and h.version = back.version;

-- name: rename_edges
-- The relationships that a field made are those of a field of another name.
update edges set field = $4 where tenant_id = $1 and source_id = any($2::uuid[]) and field = $3;

-- name: cut_edges -> Edge
-- Takes away the relationships that a field made.
delete from edges where tenant_id = $1 and source_id = any($2::uuid[]) and field = $3
returning id, type, source_id, source_pipeline, target_id, target_pipeline, field, one_target, one_source,
    attributes::text as attributes;

-- name: purge
-- Some of what is left of a removed field, for good.
delete from trashed_values where tenant_id = $1 and pipeline_id = $2 and key = $3
    and (record_id, version) in (
        select record_id, version from trashed_values where tenant_id = $1 and pipeline_id = $2 and key = $3 limit $4
    );

-- name: forget_claims
-- Some of the claims of a field that is not unique any more.
delete from unique_values where tenant_id = $1 and pipeline_id = $2 and field = $3
    and value in (select value from unique_values where tenant_id = $1 and pipeline_id = $2 and field = $3 limit $4);

-- name: settle
-- A job has brought all records along.
update pipelines set definition = jsonb_set(definition, '{pending}', coalesce((
    select jsonb_agg(one) from jsonb_array_elements(definition->'pending') as one where one->>'job_id' <> $3::uuid::text
), '[]'))
where tenant_id = $1 and id = $2;

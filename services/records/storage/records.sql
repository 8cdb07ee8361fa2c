-- name: body
-- A record as the API shows it, written by PostgreSQL so that it reaches the socket undecoded.
'{"id":"' || {r}.id || '","pipeline_id":"' || {r}.pipeline_id || '","version":' || {r}.version
    || ',"title":' || to_json({title})::text || ',"data":' || {data}::text
    || ',"created_at":"' || to_char({r}.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    || '","created_by":"' || {r}.created_by
    || '","updated_at":"' || to_char({r}.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    || '","updated_by":"' || {r}.updated_by || '"' || {expanded} || '}';

-- name: related
-- The body of the record that a relation holds, if it may be seen.
(select {body} from (select {held} as id) held join records {to}
    on {to}.tenant_id = {r}.tenant_id and {to}.id = case when pg_input_is_valid(held.id, 'uuid') then held.id::uuid end
    where {to}.pipeline_id = '{pipeline}' and {to}.deleted_at is null and {condition});

-- name: columns
-- What bodies, rules and sort keys are made of.
{r}.tenant_id, {r}.id, {r}.pipeline_id, {r}.version, {r}.title, {r}.data, {r}.created_at, {r}.created_by,
    {r}.updated_at, {r}.updated_by, {r}.deleted_at;

-- name: written
-- A page as one row, in a single round trip: its bodies with commas between them, and where more records follow the
-- sort key of its last one.
select found.items, found.cursor_key from tenant cross join lateral (
    select string_agg({body}, ',') filter (where r.place <= {limit}) as items,
        case when count(1) > {limit} then max({key}) filter (where r.place = {limit}) end as cursor_key
    from (select {columns}, row_number() over () as place from ({rows}) r) r
    offset 0
) found;

-- name: get
-- One record that may be seen.
select r.version, {body} as body from records r
where r.tenant_id = $1 and r.pipeline_id = $2 and r.id = $3 and r.deleted_at is null and {condition};

-- name: look_up
-- One record that may be seen, in a single round trip.
select found.version, found.body from tenant cross join lateral (
    select r.version, {body} as body from records r
    where r.tenant_id = tenant.id and r.pipeline_id = $2 and r.id = $3 and r.deleted_at is null and {condition}
    offset 0
) found;

-- name: bodies
-- Several records of one pipeline that may be seen, with the ids that their relations hold.
select r.id, {body} as body, {links} as links from records r
where r.tenant_id = $1 and r.pipeline_id = $2 and r.id = any($3::uuid[]) and r.deleted_at is null and {condition};

-- name: open_bodies
-- Several records of pipelines of which everything may be seen.
select r.id, {body} as body from records r
where r.tenant_id = $1 and r.id = any($3::uuid[]) and r.pipeline_id = any($2::uuid[]) and r.deleted_at is null;

-- name: count
-- How many records of a list there are, up to a bound.
select count(1) from (
    select 1 from records r
    where r.tenant_id = $1 and r.pipeline_id = $2 and r.deleted_at is {trashed} and {condition} limit {bound}
) counted;

-- name: explain
-- How many records of a list the planner expects.
explain (format json) select 1 from records r
where r.tenant_id = $1 and r.pipeline_id = $2 and r.deleted_at is {trashed} and {condition};

-- name: aggregate
-- The groups of a list with their metrics.
select jsonb_build_object('group', jsonb_build_object({group}), 'metrics', jsonb_build_object({metrics}))::text
from records r
where r.tenant_id = $1 and r.pipeline_id = $2 and r.deleted_at is null and {condition}
{grouped} order by {order} limit {limit};

-- name: place -> Place
-- The pipeline that a record is in.
select id, pipeline_id, deleted_at is not null as deleted from records where tenant_id = $1 and id = $2;

-- name: places -> Place
-- The pipelines that records are in.
select id, pipeline_id, deleted_at is not null as deleted from records where tenant_id = $1 and id = any($2::uuid[]);

-- name: visible
-- Which of these records may be seen and related to; they stay where they are until the transaction ends.
select r.id from records r
where r.tenant_id = $1 and r.pipeline_id = $2 and r.id = any($3::uuid[]) and r.deleted_at is null and {condition}
order by r.id for key share of r;

-- name: seen
-- Which of these records may be seen.
select r.id from records r
where r.tenant_id = $1 and r.pipeline_id = $2 and r.id = any($3::uuid[]) and r.deleted_at is null and {condition};

-- name: lock
-- Records about to be changed, and which grants' rules hold on them.
select r.id, r.pipeline_id, r.version, r.title, r.data::text as data,
    to_char(r.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at, r.created_by,
    to_char(r.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as updated_at, r.updated_by,
    r.deleted_at is not null as deleted, {read} as reads, {update} as updates, {delete} as deletes, r.fenced
from records r
where r.tenant_id = $1 and r.pipeline_id = $2 and r.id = any($3::uuid[])
order by r.id for update of r;

-- name: lock_any -> Locked
-- Records of any pipeline about to be changed because another one is.
select id, pipeline_id, version, title, data::text as data,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at, created_by,
    to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as updated_at, updated_by,
    deleted_at is not null as deleted, null::boolean[] as reads, null::boolean[] as updates, null::boolean[] as deletes,
    fenced
from records where tenant_id = $1 and id = any($2::uuid[]) order by id for update;

-- name: passes
-- Which grants' rules hold on records that were just made.
select r.id, {passes} as passes from records r where r.tenant_id = $1 and r.id = any($2::uuid[]);

-- name: insert
-- New records, and the first line of their history.
with made as (
    insert into records
        (tenant_id, id, pipeline_id, version, title, data, created_at, created_by, updated_at, updated_by)
    select $1, new.id, $2, 1, new.title, new.data::jsonb, $3, $4, $3, $4
    from unnest($5::uuid[], $6::text[], $7::text[]) as new(id, title, data)
)
insert into history (tenant_id, record_id, version, operation, changes, actor_id, actor_kind, actor_name, at, client)
select $1, new.id, 1, 'created', new.changes::jsonb, $4, $9, $10, $3, $11::jsonb
from unnest($5::uuid[], $8::text[]) as new(id, changes);

-- name: advance
-- The next version of records that are locked, and a line of their history.
with next as (
    select id, version, title, data, deleted, operation, changes
    from unnest($5::uuid[], $6::bigint[], $7::text[], $8::text[], $9::boolean[], $10::text[], $11::text[])
        as next(id, version, title, data, deleted, operation, changes)
), advanced as (
    update records r
    set version = next.version, title = next.title, data = next.data::jsonb, updated_at = $2, updated_by = $3,
        deleted_at = case when next.deleted then $2::timestamptz end
    from next where r.tenant_id = $1 and r.id = next.id
)
insert into history (tenant_id, record_id, version, operation, changes, actor_id, actor_kind, actor_name, at, client)
select $1, id, version, operation, changes::jsonb, $3, $4, $12, $2, $13::jsonb from next;

-- name: increment
-- Adds to a number in one step, so that none of many at once is lost; not where there may be locks to look at first.
with changed as (
    update records r
    set data = jsonb_set(r.data, array[$4::text], to_jsonb(
            case when jsonb_typeof(r.data->$4) = 'number' then (r.data->$4)::numeric else 0 end + $5::numeric)),
        version = r.version + 1, updated_at = $6, updated_by = $7
    where r.tenant_id = $1 and r.pipeline_id = $2 and r.id = $3 and r.deleted_at is null
        and ({condition}) and ({writable}) and {unfenced}
    returning r.id, r.pipeline_id, r.version, r.title, r.data, r.created_at, r.created_by, r.updated_by,
        old.data->$4 as old, old.version as old_version
), noted as (
    insert into history (tenant_id, record_id, version, operation, changes, actor_id, actor_kind, actor_name, at, client)
    select $1, id, version, 'updated', jsonb_build_object($4::text, jsonb_build_object('old', old, 'new', data->$4)),
        $7, $8, $9, $6, $10::jsonb
    from changed
)
select id, pipeline_id, version, title, data::text as data,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at, created_by,
    updated_by, old::text as old
from changed;

-- name: amend
-- What follows from a change and is part of it, in the record and in its history.
with amended as (
    update records set data = $4::text::jsonb where tenant_id = $1 and id = $2
)
update history set changes = $5::text::jsonb where tenant_id = $1 and record_id = $2 and version = $3;

-- name: retitle
-- A title that followed from a number.
update records set title = $3 where tenant_id = $1 and id = $2;

-- name: purge
-- Takes records away for good, with all that is kept of them.
with history_gone as (
    delete from history where tenant_id = $1 and record_id = any($2::uuid[])
), operations_gone as (
    delete from operations where tenant_id = $1 and record_id = any($2::uuid[])
), values_gone as (
    delete from unique_values where tenant_id = $1 and record_id = any($2::uuid[])
), trashed_gone as (
    delete from trashed_values where tenant_id = $1 and record_id = any($2::uuid[])
), texts_gone as (
    delete from document_texts where tenant_id = $1 and record_id = any($2::uuid[])
), locks_gone as (
    delete from field_locks where tenant_id = $1 and record_id = any($2::uuid[])
), links_gone as (
    delete from links where tenant_id = $1 and target_id = any($2::uuid[])
), files_released as (
    delete from file_uses where tenant_id = $1 and record_id = any($2::uuid[]) returning file_id
), files_due as (
    insert into file_ends (tenant_id, file_id, due)
    select distinct $1::uuid, file_id, now() from files_released
    on conflict (tenant_id, file_id) do update set due = excluded.due
)
delete from records where tenant_id = $1 and id = any($2::uuid[]);

-- name: remember_operation
-- Notes a client's operation; nothing comes back where it was noted before. After a day nobody repeats one any more.
with forgotten as (
    delete from operations where tenant_id = $1 and created_at < $5::timestamptz - interval '1 day'
)
insert into operations (tenant_id, principal_id, operation_id, record_id, version, created_at)
values ($1, $2, $3, $4, 0, $5) on conflict do nothing returning true;

-- name: finish_operation
-- Notes the version that an operation made.
update operations set version = $4 where tenant_id = $1 and principal_id = $2 and operation_id = $3;

-- name: count_live
-- Records that are not in the trash.
select count(*) from records where tenant_id = $1 and deleted_at is null;

-- name: take_turns
-- Who adds to what is limited waits for who does so already.
select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 12));

-- name: recall_operation
-- What an operation did.
select record_id, version from operations where tenant_id = $1 and principal_id = $2 and operation_id = $3;

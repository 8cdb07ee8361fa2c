-- name: wanted -> Counted
-- By which fields pipelines are counted, and whether all is counted yet.
select pipeline_id, field, ready from tally_fields where tenant_id = $1 and pipeline_id = any($2::uuid[]);

-- name: want
-- Begins to count pipelines by fields.
insert into tally_fields (tenant_id, pipeline_id, field)
select $1, new.pipeline_id, new.field from unnest($2::uuid[], $3::text[]) as new(pipeline_id, field)
on conflict do nothing;

-- name: unwant
-- Ends to count pipelines by fields that are no stages any more.
delete from tally_fields f using unnest($2::uuid[], $3::text[]) as old(pipeline_id, field)
where f.tenant_id = $1 and f.pipeline_id = old.pipeline_id and f.field = old.field;

-- name: read -> Tally
-- What was counted, to this moment.
select kind, pipeline_id, field, value, day, sum(amount)::bigint as amount
from (
    select pipeline_id, kind, field, value, day, amount from tallies
    where tenant_id = $1 and pipeline_id = any($2::uuid[]) and (kind = 'live' or day between $3 and $4)
    union all
    select pipeline_id, kind, field, value, day, amount from tally_deltas
    where tenant_id = $1 and pipeline_id = any($2::uuid[]) and (kind = 'live' or day between $3 and $4)
) counted
group by kind, pipeline_id, field, value, day having sum(amount) <> 0;

-- name: open
-- The next tenant of which something is to be counted or added up, as who does it sees it.
select least(
    (select tenant_id from tally_deltas where tenant_id > $1 order by tenant_id limit 1),
    (select tenant_id from tally_fields where tenant_id > $1 and not ready order by tenant_id limit 1)
);

-- name: alone
-- Whether nobody else adds up what was counted of this tenant.
select pg_try_advisory_xact_lock(hashtextextended($1::uuid::text, 13));

-- name: fold
-- Adds up some of what was counted.
with taken as (
    delete from tally_deltas where tenant_id = $1 and ctid = any(array(
        select ctid from tally_deltas where tenant_id = $1 limit $2
    ))
    returning pipeline_id, kind, field, value, day, amount
), folded as (
    insert into tallies (tenant_id, pipeline_id, kind, field, value, day, amount)
    select $1, pipeline_id, kind, field, value, day, sum(amount) from taken
    group by pipeline_id, kind, field, value, day having sum(amount) <> 0
    on conflict (tenant_id, pipeline_id, kind, field, value, day)
    do update set amount = tallies.amount + excluded.amount
)
select count(*) from taken;

-- name: mark
-- Whoever may not have seen that a field is counted has begun before now.
update tally_fields set until = pg_snapshot_xmax(pg_current_snapshot())
where tenant_id = $1 and not ready and until is null;

-- name: due
-- Fields that all who write have seen.
select pipeline_id, field from tally_fields
where tenant_id = $1 and not ready and until <= pg_snapshot_xmin(pg_current_snapshot()) order by pipeline_id, field limit 1;

-- name: clear
-- What was added up so far of a field is in what will be counted.
delete from tallies
where tenant_id = $1 and pipeline_id = $2 and (
    ($3 = '' and (kind in ('made', 'did') or (kind = 'live' and field = '')))
    or ($3 <> '' and field = $3 and kind in ('live', 'entered'))
);

-- name: count_all
-- Counts a pipeline's records, with what was counted beside by then: all as one moment shows it.
with counted as (
    delete from tally_deltas
    where tenant_id = $1 and pipeline_id = $2 and (kind in ('made', 'did') or (kind = 'live' and field = ''))
)
insert into tallies (tenant_id, pipeline_id, kind, field, value, day, amount)
select $1, $2, 'live', '', '', date '1970-01-01', count(*) from records
where tenant_id = $1 and pipeline_id = $2 and deleted_at is null
union all
select $1, $2, 'made', '', '', (created_at at time zone 'UTC')::date, count(*) from records
where tenant_id = $1 and pipeline_id = $2 and deleted_at is null group by 6
union all
select $1, $2, 'did', h.operation, h.actor_id::text, (h.at at time zone 'UTC')::date, count(*)
from records r join history h on h.tenant_id = r.tenant_id and h.record_id = r.id
where r.tenant_id = $1 and r.pipeline_id = $2 group by 4, 5, 6;

-- name: count_stages
-- The same by a stage field.
with counted as (
    delete from tally_deltas
    where tenant_id = $1 and pipeline_id = $2 and field = $3 and kind in ('live', 'entered')
)
insert into tallies (tenant_id, pipeline_id, kind, field, value, day, amount)
select $1, $2, 'live', $3, coalesce(data->>$3, ''), date '1970-01-01', count(*) from records
where tenant_id = $1 and pipeline_id = $2 and deleted_at is null group by 5
union all
select $1, $2, 'entered', $3, h.changes->$3->>'new', (h.at at time zone 'UTC')::date, count(*)
from records r join history h on h.tenant_id = r.tenant_id and h.record_id = r.id
where r.tenant_id = $1 and r.pipeline_id = $2 and h.changes->$3->>'new' is not null group by 5, 6;

-- name: ready
update tally_fields set ready = true where tenant_id = $1 and pipeline_id = $2 and field = $3;

-- name: unbound
-- Counting what there is may take its time.
set local statement_timeout = '10min';

-- name: seen
-- The same counts over the newest of those records that may be seen; how many were looked at comes first.
with looked as materialized (
    select r.id, r.tenant_id, r.pipeline_id, r.version, r.title, r.data, r.created_at, r.created_by, r.updated_at,
        r.updated_by, r.deleted_at
    from records r
    where r.tenant_id = $1 and r.pipeline_id = $2 and r.deleted_at is null order by r.id desc limit {bound}
), seen as materialized (
    select r.id, r.created_at, {stage} as stage from looked r where {condition}
)
select 'looked' as kind, '' as field, '' as value, null::date as day, count(*) as amount from looked
union all
select 'live', $3, coalesce(stage, ''), null, count(*) from seen where $3 <> '' group by stage
union all
select 'live', '', '', null, count(*) from seen where $3 = ''
union all
select 'made', '', '', day, count(*) from (
    select (created_at at time zone 'UTC')::date as day from seen where $3 = ''
) made where day between $4 and $5 group by day
union all
select case when $3 = '' then 'did' else 'entered' end, case when $3 = '' then h.operation else $3 end,
    case when $3 = '' then h.actor_id::text else h.changes->$3->>'new' end, (h.at at time zone 'UTC')::date, count(*)
from seen join history h on h.tenant_id = $1 and h.record_id = seen.id
where (h.at at time zone 'UTC')::date between $4 and $5 and ($3 = '' or h.changes->$3->>'new' is not null)
group by 1, 2, 3, 4;

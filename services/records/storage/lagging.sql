-- name: put_off
-- Records some of whose values are computed by a job, as soon as this is committed.
insert into late_values (tenant_id, pipeline_id, record_id, id, names, by)
select $1, $2, new.record_id, new.id, $5::text[], $6::text::jsonb
from unnest($3::uuid[], $4::uuid[]) as new(record_id, id);

-- name: pipelines -> Lag
-- The next pipelines that have such records, of any tenant.
with recursive found as (
    (
        select v.tenant_id, v.pipeline_id from late_values v
        where (v.tenant_id, v.pipeline_id) > ($1::uuid, $2::uuid) order by v.tenant_id, v.pipeline_id limit 1
    )
    union all
    select next.tenant_id, next.pipeline_id from found cross join lateral (
        select v.tenant_id, v.pipeline_id from late_values v
        where (v.tenant_id, v.pipeline_id) > (found.tenant_id, found.pipeline_id)
        order by v.tenant_id, v.pipeline_id limit 1
    ) next
)
select tenant_id, pipeline_id from found limit $3;

-- name: note
-- Room for what is known of a pipeline's job.
insert into late_jobs (tenant_id, pipeline_id) values ($1, $2) on conflict do nothing;

-- name: hold
-- Keeps others from beginning a job of a pipeline; nothing where another process begins one at this moment.
select true from late_jobs where tenant_id = $1 and pipeline_id = $2 for update skip locked;

-- name: last -> Last
-- The last job of a pipeline. Asked once it is held: a statement that waited for that sees jobs as they were before.
select l.job_id, j.state, extract(epoch from clock_timestamp() - j.finished_at)::float8 as ago
from late_jobs l left join jobs j on j.tenant_id = l.tenant_id and j.id = l.job_id
where l.tenant_id = $1 and l.pipeline_id = $2;

-- name: replace
-- Another job comes after the last one, which nobody has to remember.
with gone as (
    delete from jobs j using late_jobs l
    where l.tenant_id = $1 and l.pipeline_id = $2 and j.tenant_id = l.tenant_id and j.id = l.job_id
)
update late_jobs set job_id = $3 where tenant_id = $1 and pipeline_id = $2;

-- name: first
-- Who made a change that values of a pipeline were put off for.
select by::text from late_values where tenant_id = $1 and pipeline_id = $2 order by record_id, id limit 1;

-- name: next
-- The next records of a pipeline some of whose values were put off.
select distinct record_id from late_values
where tenant_id = $1 and pipeline_id = $2 and record_id > $3 order by record_id limit $4;

-- name: left
-- How many there are.
select count(distinct record_id) from late_values where tenant_id = $1 and pipeline_id = $2 and record_id > $3;

-- name: take -> Late
-- What was put off of a record, and by whose changes; what is not committed yet stays.
delete from late_values where tenant_id = $1 and pipeline_id = $2 and record_id = $3
returning id, names, by::text as by;

-- name: take
-- Jobs of a tenant that is gone, with the object that each was given, if any.
with gone as (
    delete from jobs where tenant_id = $1
        and id in (select id from jobs where tenant_id = $1 order by id limit $2)
    returning id, input
)
select id, input ->> 'object' as object from gone;

-- name: insert -> JobRow
-- A new job that waits, so many seconds at least; what ended a month ago is forgotten, unless what it made is still
-- kept.
with forgotten as (
    delete from jobs
    where tenant_id = $1 and finished_at < now() - interval '30 days' and (kind <> 'export' or not result ? 'report_url')
    returning id
), mended as (
    delete from refused_rows r using forgotten where r.tenant_id = $1 and r.job_id = forgotten.id
), claimed as (
    delete from import_claims c using forgotten where c.tenant_id = $1 and c.job_id = forgotten.id
), waiting as (
    insert into job_queue (tenant_id, job_id, kind, ready_at, attempts)
    values ($1, $2, $3, clock_timestamp() + make_interval(secs => $9::float8), 0)
), made as (
    insert into jobs (tenant_id, id, kind, pipeline_id, state, input, checkpoint, done, total, created, updated, refused,
        principal, created_by, created_at, updated_at)
    values ($1, $2, $3, $4, 'queued', $5::text::jsonb, '{}', 0, $6, 0, 0, 0, $7::text::jsonb, $8, now(), now())
    returning id, kind, pipeline_id, state, input, checkpoint, done, total, created, updated, refused, result, error,
        principal, created_at, started_at, updated_at, finished_at
), told as (
    select pg_notify('jobs', '') as sent
)
select id, kind, pipeline_id, state, input::text as input, checkpoint::text as checkpoint, done, total, created, updated,
    refused, result::text as result, error::text as error, principal::text as principal, created_at, started_at,
    updated_at, finished_at
from made, told;

-- name: open
-- How many jobs of a tenant have not ended, of a kind unless that is null.
select count(1) from job_queue where tenant_id = $1 and ($2::text is null or kind = $2);

-- name: get -> JobRow
-- One job.
select id, kind, pipeline_id, state, input::text as input, checkpoint::text as checkpoint, done, total, created, updated,
    refused, result::text as result, error::text as error, principal::text as principal, created_at, started_at,
    updated_at, finished_at
from jobs where tenant_id = $1 and id = $2;

-- name: page -> JobRow
-- Jobs, the newest first, of one maker unless that is null, of one kind and state unless those are.
select id, kind, pipeline_id, state, input::text as input, checkpoint::text as checkpoint, done, total, created, updated,
    refused, result::text as result, error::text as error, principal::text as principal, created_at, started_at,
    updated_at, finished_at
from jobs
where tenant_id = $1 and id < $2 and ($3::uuid is null or created_by = $3) and ($4::text is null or kind = $4)
    and ($5::text is null or state = $5)
order by id desc limit $6;

-- name: count
select count(*) from jobs
where tenant_id = $1 and ($2::uuid is null or created_by = $2) and ($3::text is null or kind = $3)
    and ($4::text is null or state = $4);

-- name: claim -> Claim
-- The oldest job of some kinds that nobody works on, of a tenant that has not too many of them at work; a lease that is
-- longer than leases are was given before the clock was set back.
with next as materialized (
    select waiting.tenant_id, waiting.job_id from job_queue waiting
    where waiting.kind = any($4::text[]) and waiting.ready_at <= clock_timestamp()
        and (waiting.lease_until is null
            or waiting.lease_until not between clock_timestamp() and clock_timestamp() + make_interval(secs => 2 * $2::float8))
        and $3::integer > (
            select count(1) from job_queue busy
            where busy.tenant_id = waiting.tenant_id and busy.kind = any($4::text[])
                and busy.lease_until >= clock_timestamp()
        )
    order by waiting.job_id limit 1 for update of waiting skip locked
)
update job_queue q
set owner = $1, lease_until = clock_timestamp() + make_interval(secs => $2::float8), attempts = q.attempts + 1
from next where q.tenant_id = next.tenant_id and q.job_id = next.job_id
returning q.tenant_id, q.job_id, q.kind, q.owner, q.attempts;

-- name: begin -> JobRow
-- A job that is worked on from now on.
update jobs set state = 'running', started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
where tenant_id = $1 and id = $2 and state in ('queued', 'running')
returning id, kind, pipeline_id, state, input::text as input, checkpoint::text as checkpoint, done, total, created,
    updated, refused, result::text as result, error::text as error, principal::text as principal, created_at, started_at,
    updated_at, finished_at;

-- name: hold
-- Renews the lease of who still has it, and keeps others from taking it until the transaction ends. What gets on is not
-- given up for having broken off often.
update job_queue set lease_until = clock_timestamp() + make_interval(secs => $4::float8),
    attempts = case when $5 then 1 else attempts end
where tenant_id = $1 and job_id = $2 and owner = $3 returning true;

-- name: renew
-- Renews a lease between steps; within a step nobody can take it. Whether it is still held.
with held as (
    select tenant_id, job_id from job_queue
    where tenant_id = $1 and job_id = $2 and owner = $3 for update skip locked
), renewed as (
    update job_queue q set lease_until = clock_timestamp() + make_interval(secs => $4::float8)
    from held where q.tenant_id = held.tenant_id and q.job_id = held.job_id
)
select exists (select from job_queue where tenant_id = $1 and job_id = $2 and owner = $3);

-- name: release
-- Lets go of a job that shall go on after so many seconds.
update job_queue set owner = null, lease_until = null, ready_at = clock_timestamp() + make_interval(secs => $4::float8)
where tenant_id = $1 and job_id = $2 and owner = $3;

-- name: advance -> JobRow
-- How far a job has come.
update jobs set checkpoint = coalesce($3::text::jsonb, checkpoint), done = done + $4, total = coalesce($5, total),
    created = created + $6, updated = updated + $7, refused = refused + $8, updated_at = clock_timestamp()
where tenant_id = $1 and id = $2 and state = 'running'
returning id, kind, pipeline_id, state, input::text as input, checkpoint::text as checkpoint, done, total, created,
    updated, refused, result::text as result, error::text as error, principal::text as principal, created_at, started_at,
    updated_at, finished_at;

-- name: unqueue
-- Nobody works on it any more; one who has it waits for nothing longer than a step. Null as owner is whoever has it.
delete from job_queue where tenant_id = $1 and job_id = $2 and ($3::uuid is null or owner = $3) returning true;

-- name: finish -> JobRow
-- The end of a job.
update jobs set state = $3, result = coalesce($4::text::jsonb, result), error = $5::text::jsonb,
    total = case when $3 = 'done' then done else total end, finished_at = clock_timestamp(), updated_at = clock_timestamp()
where tenant_id = $1 and id = $2 and state in ('queued', 'running')
returning id, kind, pipeline_id, state, input::text as input, checkpoint::text as checkpoint, done, total, created,
    updated, refused, result::text as result, error::text as error, principal::text as principal, created_at, started_at,
    updated_at, finished_at;

-- name: expire
-- The exports of a week ago, whose results are kept no longer.
update jobs set result = result - 'report_url'
where tenant_id = $1 and kind = 'export' and finished_at < now() - interval '7 days' and result ? 'report_url'
returning id;

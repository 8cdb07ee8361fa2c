-- name: insert
insert into compliance_jobs
    (tenant_id, id, kind, state, user_id, email, requested_by, requested_at, source, next_at, summary)
values ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $7, $9);

-- name: get -> JobRow
select id, kind, state, user_id, email, requested_by, requested_at, source, cursor, finished_at, summary
from compliance_jobs where tenant_id = $1 and id = $2;

-- name: page -> JobRow
select id, kind, state, user_id, email, requested_by, requested_at, source, cursor, finished_at, summary
from compliance_jobs where tenant_id = $1 and kind = $2 and id > $3 order by id limit $4;

-- name: count
select count(*) from compliance_jobs where tenant_id = $1 and kind = $2;

-- name: running
select count(*) from compliance_jobs where tenant_id = $1 and state = 'running';

-- name: due -> Due
-- Of all tenants: what is to be worked on, and exports that were kept for long enough.
select tenant_id, id from compliance_jobs
where (state = 'running' and next_at <= now()) or (kind = 'export' and finished_at < now() - interval '30 days')
order by next_at limit 20;

-- name: claim
-- Whoever claims it works on it for a while.
update compliance_jobs set next_at = now() + interval '30 seconds'
where tenant_id = $1 and id = $2 and state = 'running' and next_at <= now() returning true;

-- name: hold
select true from compliance_jobs
where tenant_id = $1 and id = $2 and state = 'running' and source = $3 and cursor is not distinct from $4 for update;

-- name: advance
update compliance_jobs set source = $3, cursor = $4, summary = $5, next_at = now() where tenant_id = $1 and id = $2;

-- name: finish
-- What an erasure was about is not kept; a report names the person by id alone.
update compliance_jobs set state = 'done', finished_at = now(), cursor = null, summary = $3,
    email = case when kind = 'erasure' then null else email end
where tenant_id = $1 and id = $2;

-- name: add_part
insert into compliance_parts (tenant_id, job_id, number, source, document)
select $1, $2, coalesce(max(number), 0) + 1, $3, $4 from compliance_parts where tenant_id = $1 and job_id = $2;

-- name: part
select number, source, document from compliance_parts
where tenant_id = $1 and job_id = $2 and number > $3 order by number limit 1;

-- name: forget
delete from compliance_jobs where tenant_id = $1 and id = $2 and finished_at < now() - interval '30 days';

-- name: forget_exports
delete from compliance_jobs where tenant_id = $1 and kind = 'export' and user_id = $2;

-- name: forget_actor
update sessions set actor_name = null where tenant_id = $1 and actor_id = $2;

-- name: sessions
-- What is kept of a person's sign-ins.
select id::text, user_agent, address, created_at, last_used_at from sessions
where tenant_id = $1 and user_id = $2 order by id limit 200;

-- name: keys
select id::text, kind, name, created_at, last_used_at, last_used_address from api_keys
where tenant_id = $1 and created_by = $2 order by id limit 500;

-- name: entries -> Kept
-- The audit log of a person, oldest first.
select seq, at, action, actor_id, target_id, document, hash from audit_log
where tenant_id = $1 and (actor_id = $2 or target_id = $2) and seq > $3 order by seq limit $4;

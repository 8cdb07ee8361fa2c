-- name: take_turn
-- One step at a time writes to a pipeline by the values that records have: each names records and values in the order
-- of its rows, so two would wait for each other.
select pg_advisory_xact_lock(hashtextextended($1::uuid::text || $2::uuid::text, 15));

-- name: refuse
-- Rows that could not become records.
insert into refused_rows (tenant_id, job_id, number, cells, faults)
select $1, $2, refused.number, refused.cells, refused.faults::jsonb
from unnest($3::bigint[], $4::text[], $5::text[]) as refused(number, cells, faults);

-- name: refused -> Refused
-- Refused rows of a job after a number, in their order.
select number, cells, faults::text as faults from refused_rows
where tenant_id = $1 and job_id = $2 and number > $3 order by number limit $4;

-- name: let_go
-- Of the refused rows of a tenant those of the last imports stay, so many in all.
delete from refused_rows where tenant_id = $1 and job_id <= (
    select id from jobs where tenant_id = $1 and kind = 'import' and refused > 0 order by id desc offset $2 limit 1
);

-- name: claims
-- Who would have values, by digest.
select digest, holder::uuid from import_claims where tenant_id = $1 and job_id = $2 and digest = any($3::bytea[]);

-- name: claim
-- Values that records would have.
insert into import_claims (tenant_id, job_id, digest, holder)
select $1, $2, new.digest, new.holder from unnest($3::bytea[], $4::uuid[]) as new(digest, holder)
on conflict do nothing;

-- name: unclaim
-- Some of the values that records of runs would have that have ended.
with ended as (
    select c.job_id, c.digest from import_claims c
    where c.tenant_id = $1 and not exists (select from job_queue q where q.tenant_id = $1 and q.job_id = c.job_id)
    limit $2
), gone as (
    delete from import_claims c using ended
    where c.tenant_id = $1 and c.job_id = ended.job_id and c.digest = ended.digest returning 1
)
select count(1) from gone;

-- name: by_name
-- The records that go by names, two of each at most: each name is looked up by itself.
select wanted.name, found.id
from unnest($3::text[]) as wanted(name) cross join lateral (
    select r.id from records r
    where r.tenant_id = $1 and r.pipeline_id = $2 and r.deleted_at is null
        and r.data @> jsonb_build_object($4::text, wanted.name) and {condition}
    limit 2
) found;

-- name: users_by_name
-- The users that go by names, two of each at most.
select wanted.name, found.id
from unnest($2::text[]) as wanted(name) cross join lateral (
    select u.id from users u where u.tenant_id = $1 and lower(u.name) = lower(wanted.name) limit 2
) found;

-- name: refuse
-- Rows that could not become records.
insert into refused_rows (tenant_id, job_id, number, cells, faults)
select $1, $2, refused.number, refused.cells, refused.faults::jsonb
from unnest($3::bigint[], $4::text[], $5::text[]) as refused(number, cells, faults);

-- name: refused -> Refused
-- Refused rows of a job after a number, in their order.
select number, cells, faults::text as faults from refused_rows
where tenant_id = $1 and job_id = $2 and number > $3 order by number limit $4;

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

-- name: claim
-- Takes values; those that come back were free. Another's unfinished claim is waited for.
insert into unique_values (tenant_id, pipeline_id, field, value, record_id)
select $1, $2, new.field, new.value, new.record_id
from unnest($3::text[], $4::text[], $5::uuid[]) as new(field, value, record_id)
order by new.field, new.value
on conflict do nothing
returning field, value;

-- name: release
-- Gives values back.
delete from unique_values u using unnest($3::text[], $4::text[], $5::uuid[]) as gone(field, value, record_id)
where u.tenant_id = $1 and u.pipeline_id = $2 and u.field = gone.field and u.value = gone.value
    and u.record_id = gone.record_id;

-- name: release_records
-- Gives back all values of records.
delete from unique_values where tenant_id = $1 and record_id = any($2::uuid[]);

-- name: find
-- The records that have these values.
select value, record_id from unique_values
where tenant_id = $1 and pipeline_id = $2 and field = $3 and value = any($4::text[]);

-- name: unclaimed
-- Values that other records have, whether they claimed them or not.
select wanted.field, wanted.value
from unnest($3::text[], $4::text[], $5::uuid[], $6::text[]) as wanted(field, value, record_id, part)
where exists (
    select from records r
    where r.tenant_id = $1 and r.pipeline_id = $2 and r.deleted_at is null and r.data @> wanted.part::jsonb
        and r.id <> wanted.record_id
);

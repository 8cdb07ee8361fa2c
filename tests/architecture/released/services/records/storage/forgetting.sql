-- name: bury
-- Records that are gone, of which no row shall speak.
insert into tombstones (tenant_id, id, record_ids, pipeline_ids) values ($1, $2, $3, $4);

-- name: claim -> Tombstone
-- Records that rows may still speak of, of whichever tenant, left alone by others for some minutes.
update tombstones set due = now() + interval '5 minutes'
where (tenant_id, id) in (
    select tenant_id, id from tombstones where due <= now() order by due limit 1 for update skip locked
)
returning tenant_id, id, record_ids, pipeline_ids, place::text as place;

-- name: join
-- What is begun anew for a tenant takes along what was not begun.
with others as (
    delete from tombstones where tenant_id = $1 and id in (
        select id from tombstones where tenant_id = $1 and id <> $2 and place is null limit 100 for update skip locked
    )
    returning record_ids, pipeline_ids
)
update tombstones t
set record_ids = t.record_ids || coalesce(
        (select array_agg(record_id) from others cross join lateral unnest(others.record_ids) as record_id), '{}'),
    pipeline_ids = t.pipeline_ids || coalesce(
        (select array_agg(pipeline_id) from others cross join lateral unnest(others.pipeline_ids) as pipeline_id), '{}')
where t.tenant_id = $1 and t.id = $2
returning t.record_ids, t.pipeline_ids;

-- name: come_to
-- How far a search for mentions has come; it is ours for some more minutes.
update tombstones set place = $3::jsonb, due = now() + interval '5 minutes' where tenant_id = $1 and id = $2;

-- name: done
-- Nothing speaks of these records any more.
delete from tombstones where tenant_id = $1 and id = $2;

-- name: forget_merges
-- Merges of records that are gone cannot be undone.
delete from merges where tenant_id = $1 and (target_id = any($2::uuid[]) or undo::text ~ $3);

-- name: forget_answers
-- Answers to idempotency keys that show a record; a thousand are looked at, and the last of these comes back.
with looked as (
    select principal_id, request from idempotency where tenant_id = $1 and (principal_id, request) > ($2, $3)
    order by principal_id, request limit 1000
), gone as (
    delete from idempotency i using looked l, unnest($4::text[]) as record_id
    where i.tenant_id = $1 and i.principal_id = l.principal_id and i.request = l.request
        and position(convert_to(record_id, 'UTF8') in i.body) > 0
)
select principal_id, request from looked order by principal_id desc, request desc limit 1;

-- name: holders
-- Pipelines whose records hold records of these, or have held such once.
select p.id from pipelines p
where p.tenant_id = $1 and p.id > $3 and (
    exists (
        select from jsonb_array_elements(p.definition->'fields') as field
        where field->>'target_pipeline' = any($2::uuid[]::text[])
    )
    or (select true from trashed_values t where t.tenant_id = $1 and t.pipeline_id = p.id limit 1)
)
order by p.id limit 1;

-- name: lines
-- Lines of history that speak of records.
select record_id, version, changes::text as changes from history
where tenant_id = $1 and record_id = any($2::uuid[]) and changes::text ~ $3 order by record_id, version for update;

-- name: rewrite_lines
update history h set changes = next.changes::jsonb
from unnest($2::uuid[], $3::bigint[], $4::text[]) as next(record_id, version, changes)
where h.tenant_id = $1 and h.record_id = next.record_id and h.version = next.version;

-- name: kept_values
-- What removed fields held that speaks of records.
select pipeline_id, key, record_id, version, value::text as value from trashed_values
where tenant_id = $1 and record_id = any($2::uuid[]) and value::text ~ $3 for update;

-- name: rewrite_value
update trashed_values set value = $6::jsonb
where tenant_id = $1 and pipeline_id = $2 and key = $3 and record_id = $4 and version = $5;

-- name: sweep
-- Tenants whose trash was not looked through for an hour; others leave them alone.
update tenant_settings set swept_at = now()
where tenant_id in (
    select tenant_id from tenant_settings
    where trash_days > 0 and swept_at < now() - interval '1 hour' order by swept_at limit 20 for update skip locked
)
returning tenant_id;

-- name: overdue
-- Records that were in the trash for longer than their tenant keeps it, but for some.
select r.id, r.pipeline_id from records r
where r.tenant_id = $1
    and r.deleted_at < now() - make_interval(days => (select trash_days from tenant_settings where tenant_id = $1))
    and (select trash_days from tenant_settings where tenant_id = $1) > 0
    and not r.pipeline_id = any($2::uuid[]) and not r.id = any($3::uuid[])
order by r.deleted_at limit $4;

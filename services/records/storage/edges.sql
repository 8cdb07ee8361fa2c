-- name: insert
-- New relationships; those that come back broke no rule of how many there may be.
insert into edges (tenant_id, id, type, source_id, source_pipeline, target_id, target_pipeline, field, one_target,
    one_source, attributes, created_at, created_by)
select $1, new.id, new.type, new.source_id, new.source_pipeline, new.target_id, new.target_pipeline, new.field,
    new.one_target, new.one_source, new.attributes::jsonb, $2, $3
from unnest($4::uuid[], $5::text[], $6::uuid[], $7::uuid[], $8::uuid[], $9::uuid[], $10::text[], $11::boolean[],
    $12::boolean[], $13::text[]) as new(id, type, source_id, source_pipeline, target_id, target_pipeline, field,
    one_target, one_source, attributes)
on conflict do nothing
returning id;

-- name: park
-- The relationships of records in the trash leave room for others.
update edges set parked = one_target::integer + 2 * one_source::integer, one_target = false, one_source = false
where tenant_id = $1 and (source_id = any($2::uuid[]) or target_id = any($2::uuid[])) and (one_target or one_source);

-- name: unpark
-- The relationships of a record that is back take their room again, where the other end is not in the trash.
update edges e set one_target = parked & 1 > 0, one_source = parked & 2 > 0, parked = 0
where e.tenant_id = $1 and (e.source_id = $2 or e.target_id = $2) and e.parked > 0 and not exists (
    select from records r
    where r.tenant_id = $1 and r.id in (e.source_id, e.target_id) and r.id <> $2 and r.deleted_at is not null
);

-- name: same
-- Whether two records are related in this way already.
select exists (
    select from edges
    where tenant_id = $1 and source_id = $2 and type = $3 and target_id = $4 and field = $5
);

-- name: get -> Edge
-- One relationship.
select id, type, source_id, source_pipeline, target_id, target_pipeline, field, one_target, one_source,
    attributes::text as attributes
from edges where tenant_id = $1 and id = $2;

-- name: hold -> Edge
-- The same, which nobody else changes until the transaction ends.
select id, type, source_id, source_pipeline, target_id, target_pipeline, field, one_target, one_source,
    attributes::text as attributes
from edges where tenant_id = $1 and id = $2 for update;

-- name: describe
-- Says something else of a relationship.
update edges set attributes = $3::text::jsonb where tenant_id = $1 and id = $2;

-- name: between -> Edge
-- Of each two records the first relationship that was made between them and may be seen, whichever way it points.
select found.id, found.type, found.source_id, found.source_pipeline, found.target_id, found.target_pipeline,
    found.field, found.one_target, found.one_source, found.attributes::text as attributes
from unnest($2::uuid[], $3::uuid[]) with ordinality as pair(one, other, place) cross join lateral (
    select e.id, e.type, e.source_id, e.source_pipeline, e.target_id, e.target_pipeline, e.field, e.one_target,
        e.one_source, e.attributes
    from edges e where e.tenant_id = $1 and e.source_id = pair.one and e.target_id = pair.other {shown}
    union all
    select e.id, e.type, e.source_id, e.source_pipeline, e.target_id, e.target_pipeline, e.field, e.one_target,
        e.one_source, e.attributes
    from edges e where e.tenant_id = $1 and e.source_id = pair.other and e.target_id = pair.one {shown}
    order by id limit 1
) found
order by pair.place;

-- name: delete -> Edge
-- Takes relationships away.
delete from edges where tenant_id = $1 and id = any($2::uuid[])
returning id, type, source_id, source_pipeline, target_id, target_pipeline, field, one_target, one_source,
    attributes::text as attributes;

-- name: delete_of_fields -> Edge
-- Takes away what relation fields made and no longer hold.
delete from edges e using unnest($2::uuid[], $3::text[], $4::uuid[]) as gone(source_id, field, target_id)
where e.tenant_id = $1 and e.source_id = gone.source_id and e.field = gone.field and e.target_id = gone.target_id
returning e.id, e.type, e.source_id, e.source_pipeline, e.target_id, e.target_pipeline, e.field, e.one_target,
    e.one_source, e.attributes::text as attributes;

-- name: delete_of_records -> Edge
-- Takes away all relationships of records, in both directions.
delete from edges where tenant_id = $1 and (source_id = any($2::uuid[]) or target_id = any($2::uuid[]))
returning id, type, source_id, source_pipeline, target_id, target_pipeline, field, one_target, one_source,
    attributes::text as attributes;

-- name: page -> Edge
-- The relationships of a record to live ones, in both directions.
select e.id, e.type, e.source_id, e.source_pipeline, e.target_id, e.target_pipeline, e.field, e.one_target, e.one_source,
    e.attributes::text as attributes
from edges e
join records r on r.tenant_id = e.tenant_id and r.deleted_at is null
    and r.id = case when e.source_id = $2 then e.target_id else e.source_id end
where e.tenant_id = $1 and (e.source_id = $2 or e.target_id = $2) and e.id > $3 and ($4::text is null or e.type = $4)
order by e.id limit $5;

-- name: incoming -> Edge
-- The relationships by which live records hold on to these.
select e.id, e.type, e.source_id, e.source_pipeline, e.target_id, e.target_pipeline, e.field, e.one_target, e.one_source,
    e.attributes::text as attributes
from edges e
join records r on r.tenant_id = e.tenant_id and r.id = e.source_id and r.deleted_at is null
where e.tenant_id = $1 and e.target_id = any($2::uuid[]) and not e.source_id = any($2::uuid[])
limit $3;

-- name: held_fields -> Edge
-- The relationships by which relation fields of any record hold on to these.
select id, type, source_id, source_pipeline, target_id, target_pipeline, field, one_target, one_source,
    attributes::text as attributes
from edges where tenant_id = $1 and target_id = any($2::uuid[]) and not source_id = any($2::uuid[]) and field <> '';

-- name: plan_each
-- A plan made for all values would not know how many records are asked for.
set local plan_cache_mode = force_custom_plan;

-- name: rename
-- A type goes by another name.
update edges set type = $3 where tenant_id = $1 and type = $2;

-- name: bounds
-- Step by step as well, a plan is the same wherever a walk begins.
select set_config('plan_cache_mode', 'force_generic_plan', true);

-- name: walk
-- From one record, hop by hop.
with live0 as materialized (
    select r.id, r.pipeline_id from records r where r.tenant_id = $1 and r.id = $2 and r.deleted_at is null
), {hops} {levels};

-- name: at_once
-- A walk by one who may see everything: how many records of each pipeline each step led to, and a page of those that are
-- wanted with their bodies, in a single round trip.
, live0 as materialized (
    select r.id, r.pipeline_id from tenant cross join lateral (
        select r.id, r.pipeline_id from records r
        where r.tenant_id = tenant.id and r.id = $2 and r.deleted_at is null offset 0
    ) r
), {hops}, page as materialized (
    select id, pipeline_id, depth, row_number() over (order by id) as place from ({wanted}) wanted
    where id > $3 order by id limit $4 + 1
)
select (
    select json_agg(json_build_array(depth, pipeline_id, count))::text from ({counted}) counted
) as counts, (
    select string_agg(left(body, -1) || ',"depth":' || depth || '}}', ',' order by id) from ({shown}) shown
) as items, (
    select id from page where place = $4 and exists (select from page more where more.place > $4)
) as last;

-- name: counted
-- How many records one step led to.
select {place} as depth, pipeline_id, count(1) as count from live{place} group by pipeline_id;

-- name: wanted
-- Those that one step led to.
select id, pipeline_id, {place} as depth from live{place};

-- name: shown
-- The bodies of those of a page that one step led to, all by one look into the index.
select r.id, {body} as body, {place} as depth from records r
where r.tenant_id = (select id from tenant) and r.deleted_at is null
    and r.id = any(array(select id from page where depth = {place} and place <= $4));

-- name: live
-- The live records one step on that were not come to before. Relationships are looked up record by record ("offset 0"),
-- in indexes that have all that is asked, so that the plan does not hang on statistics. Whoever is purged has none, so
-- those who live are those who are not in the trash, which is asked once for all of them; no row of them is read.
come{place} as materialized (
    select distinct away.id, away.pipeline_id from live{near} near cross join lateral ({ways} offset 0) away
), live{place} as materialized (
    select id, pipeline_id from come{place} where id not in (
        {seen} union all
        select r.id from records r
        where r.tenant_id = {tenant} and r.pipeline_id = any(array(select distinct pipeline_id from come{place}))
            and r.id = any(array(select id from come{place})) and r.deleted_at is not null
    ) limit {limit}
);

-- name: along
-- Walked along the arrow.
select e.target_id as id, e.target_pipeline as pipeline_id from edges e
where e.tenant_id = {tenant} and e.source_id = near.id {kind} {shown};

-- name: against
-- Walked against the arrow.
select e.source_id as id, e.source_pipeline as pipeline_id from edges e
where e.tenant_id = {tenant} and e.target_id = near.id {kind} {shown};

-- name: level
-- What one step led to.
select {place} as depth, pipeline_id, count(1) as count,
    coalesce((array_agg(id order by id) filter (where id > $3))[1:$4], '{{}}') as ids
from live{place} group by pipeline_id;

-- name: hop -> Hop
-- The live records one step on from many, and from which of these each was come to; those that are not wanted again are
-- left out. If any is among those far ones that are looked for ($4), only such are found, and whether they live is known.
with away as materialized (
    select distinct on (away.id) away.id, away.pipeline_id, near.id as via,
        away.id in (select far.id from unnest($4::uuid[]) as far(id)) as met
    from unnest($2::uuid[]) as near(id) cross join lateral ({ways} offset 0) away
    where away.id not in (select but.id from unnest($3::uuid[]) as but(id))
    order by away.id, near.id
), unmet as materialized (
    select away.id, away.pipeline_id, away.via from away
    where not exists (select from away where away.met) order by away.id limit $5
)
select id, pipeline_id, via, met from away where met
union all
select id, pipeline_id, via, false from unmet where (
    select true from records r
    where r.tenant_id = $1 and r.pipeline_id = unmet.pipeline_id and r.id between unmet.id and unmet.id
        and r.deleted_at is not null
    order by r.id limit 1
) is null;

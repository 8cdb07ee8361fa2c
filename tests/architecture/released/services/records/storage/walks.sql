-- name: walk
-- From one record, hop by hop.
with live0 as (select $2::uuid as id), {hops} {levels};

-- name: hop
-- The live records one step on that were not come to before. Relationships are looked up record by record ("offset 0"),
-- and records by their ids, so that the plan does not hang on statistics.
hop{place} as materialized (
    select distinct away.id from live{near} near cross join lateral ({ways} offset 0) away
    where away.id not in ({seen}) limit {limit}
),
live{place} as materialized (
    select r.id, r.pipeline_id from records r
    where r.tenant_id = $1 and r.id = any(array(select id from hop{place})) and r.deleted_at is null
);

-- name: along
-- Walked along the arrow.
select e.target_id as id from edges e where e.tenant_id = $1 and e.source_id = near.id {kind};

-- name: against
-- Walked against the arrow.
select e.source_id as id from edges e where e.tenant_id = $1 and e.target_id = near.id {kind};

-- name: level
-- What one step led to.
select {place} as depth, pipeline_id, count(1) as count,
    coalesce((array_agg(id order by id) filter (where id > $3))[1:$4], '{{}}') as ids
from live{place} group by pipeline_id;

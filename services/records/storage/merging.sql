-- name: suspects -> Suspect
-- Keys that several records of a pipeline share in a field, after a key.
select field, key from match_keys
where tenant_id = $1 and pipeline_id = $2 and field = $3 and key > $4
group by field, key having count(1) > 1
order by key limit $5;

-- name: alike
-- The live records that share keys and may be seen, so many of each.
select wanted.key, found.id
from unnest($4::text[]) as wanted(key) cross join lateral (
    select r.id from match_keys k
    join records r on r.tenant_id = k.tenant_id and r.id = k.record_id and r.deleted_at is null
    where k.tenant_id = $1 and k.pipeline_id = $2 and k.field = $3 and k.key = wanted.key and {condition}
    order by k.record_id limit $5
) found;

-- name: holder
-- A record that has a key.
select record_id from match_keys
where tenant_id = $1 and pipeline_id = $2 and field = $3 and key = $4 order by record_id limit 1;

-- name: key_of
-- The key that a record has in a field.
select key from match_keys where tenant_id = $1 and record_id = $2 and pipeline_id = $3 and field = $4;

-- name: edges_of -> Edge
-- The relationships of records in both directions.
select id, type, source_id, source_pipeline, target_id, target_pipeline, field,
    one_target or parked & 1 > 0 as one_target, one_source or parked & 2 > 0 as one_source,
    attributes::text as attributes
from edges where tenant_id = $1 and (source_id = any($2::uuid[]) or target_id = any($2::uuid[])) limit $3;

-- name: keep
-- Keeps what a merge did.
insert into merges (tenant_id, id, target_id, pipeline_id, before_version, after_version, undo, merged_at, merged_by)
values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9);

-- name: take -> MergeRow
-- A merge that is about to be undone.
select id, target_id, pipeline_id, after_version, undo::text as undo, merged_by, undone_at is not null as undone
from merges where tenant_id = $1 and id = $2 for update;

-- name: undone
-- A merge that was undone.
update merges set undone_at = $3 where tenant_id = $1 and id = $2;

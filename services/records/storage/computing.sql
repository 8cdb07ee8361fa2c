-- name: hold -> Held
-- The newest version of a definition, how often who looks at it changed, and how many jobs are at work on it.
select version, followers, pending from hold_pipeline($1, $2);

-- name: following
-- The definitions whose computed fields look at the records of a pipeline.
select definition::text from pipelines
where tenant_id = $1 and (
    definition @> jsonb_build_object('fields',
        jsonb_build_array(jsonb_build_object('type', 'lookup', 'target_pipeline', $2::uuid)))
    or definition @> jsonb_build_object('fields',
        jsonb_build_array(jsonb_build_object('type', 'rollup', 'target_pipeline', $2::uuid)))
);

-- name: follow
-- Others look at the records of these pipelines in another way from now on.
update pipelines set followers = followers + 1 where tenant_id = $1 and id = any($2::uuid[]);

-- name: gather
-- What is computed of the live records that others are related to, and to how many these are; those who are related to
-- none are left out.
select linked.near, ({gather})::text as found, count(1) as sources
from ({links}) linked left join lateral (
    select r.id, r.data from {records} r
    where r.tenant_id = $1 and r.pipeline_id = $2 and r.id = linked.far and r.deleted_at is null and {condition}
    offset 0
) r on true
group by linked.near;

-- name: renamed
-- A record by the names that its fields have now.
select
    m.tenant_id, m.pipeline_id, m.deleted_at, m.id, m.version, m.title, m.created_at, m.created_by, m.updated_at,
    m.updated_by, {data} as data
from records m where m.tenant_id = $1 and m.id = linked.far

-- name: links_given
-- The relations that records hold themselves.
select held.near, held.far, min(held.place) as place
from unnest({ids}, $4::uuid[]) with ordinality as held(near, far, place) group by held.near, held.far

-- name: links_along
-- Their relationships of a type.
select e.source_id as near, e.target_id as far, min(e.created_at) as place from edges e
where e.tenant_id = $1 and e.source_id = any({ids}) and e.type = $4::text and e.target_pipeline = $2
group by e.source_id, e.target_id

-- name: links_against
-- The relationships of a type to them.
select e.target_id as near, e.source_id as far, min(e.created_at) as place from edges e
where e.tenant_id = $1 and e.target_id = any({ids}) and e.type = $4::text and e.source_pipeline = $2
group by e.target_id, e.source_id

-- name: dependents_along
-- The records of a pipeline that are related to these by a type.
select distinct e.source_id as id from edges e
where e.tenant_id = $1 and e.target_id = any($2::uuid[]) and e.type = $3 and e.source_pipeline = $4 and e.source_id > $5
order by id limit $6;

-- name: dependents_against
-- The records of a pipeline that these are related to by a type.
select distinct e.target_id as id from edges e
where e.tenant_id = $1 and e.source_id = any($2::uuid[]) and e.type = $3 and e.target_pipeline = $4 and e.target_id > $5
order by id limit $6;

-- name: depending_along
-- How many records of a pipeline are related to these by a type.
select count(distinct e.source_id) from edges e
where e.tenant_id = $1 and e.target_id = any($2::uuid[]) and e.type = $3 and e.source_pipeline = $4;

-- name: depending_against
-- How many records of a pipeline these are related to by a type.
select count(distinct e.target_id) from edges e
where e.tenant_id = $1 and e.source_id = any($2::uuid[]) and e.type = $3 and e.target_pipeline = $4;

-- name: mark
-- Records that follow as soon as nobody else writes them.
insert into computed_marks (tenant_id, id, pipeline_id, record_id, by)
select $1, new.id, $3, new.record_id, $5::text::jsonb from unnest($2::uuid[], $4::uuid[]) as new(id, record_id);

-- name: told
-- Whoever settles marks, and sees to what was put off, is woken when they are committed.
select pg_notify('computed', '');

-- name: marked -> Mark
-- Some records that are marked, of any tenant.
select distinct tenant_id, pipeline_id, record_id from computed_marks limit $1;

-- name: unmark
-- Takes the marks of a record away, those that are committed by now.
delete from computed_marks where tenant_id = $1 and record_id = $2 returning by::text as by;

-- name: waiting
-- A job that has not begun, and does what another one would; it does not begin before this transaction ends.
select j.id from job_queue q join jobs j on j.tenant_id = q.tenant_id and j.id = q.job_id
where q.tenant_id = $1 and q.kind = $2 and j.pipeline_id = $3 and j.state = 'queued' and j.input = $4::text::jsonb
limit 1 for update of j skip locked;

-- name: open
-- How many jobs of a kind a tenant has that have not ended, but for those of values that were put off.
select count(1) from job_queue q join jobs j on j.tenant_id = q.tenant_id and j.id = q.job_id
where q.tenant_id = $1 and q.kind = $2 and not j.input ? 'late';

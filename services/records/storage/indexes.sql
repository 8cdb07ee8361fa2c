-- name: release
-- The indexes of a pipeline that are no longer wanted.
update field_indexes set wanted = false, ready = false
where tenant_id = $1 and pipeline_id = $2 and wanted and name <> all($3::text[]);

-- name: want
-- The indexes that a pipeline shall have; whoever builds them is told.
with asked as (
    insert into field_indexes (tenant_id, name, pipeline_id, expression, derived, wanted, ready)
    select $1, new.name, $2, new.expression, new.derived, true, false
    from unnest($3::text[], $4::text[], $5::boolean[]) as new(name, expression, derived)
    on conflict (tenant_id, name) do update set
        derived = excluded.derived, wanted = true, ready = field_indexes.wanted and field_indexes.ready
    where not field_indexes.wanted or field_indexes.derived <> excluded.derived
)
select pg_notify('field_indexes', '');

-- name: definitions
-- Definitions of all tenants, in the order of their ids.
select tenant_id, id, definition::text as definition from pipelines
where (tenant_id, id) > ($1, $2) order by tenant_id, id limit $3;

-- name: open -> Open
-- What is to be dropped or built, but for what is derived and what rests; tenants by turns, their oldest pipelines first.
select tenant_id, name, pipeline_id, expression, wanted, derived from field_indexes
where not ready and not (derived and wanted) and not (name = any($1::text[]) and derived)
order by wanted, row_number() over (partition by tenant_id, wanted order by pipeline_id, name), pipeline_id, name
limit 100;

-- name: open_derived -> Open
-- The next derived indexes that were not built so far.
select tenant_id, name, pipeline_id, expression, wanted, derived from field_indexes
where not ready and derived and wanted and name > $1 order by name limit $2;

-- name: enter
select set_config('app.tenant_id', $1, true);

-- name: many
-- Whether a pipeline has more than so many records.
select exists (
    select from records where tenant_id = $1 and pipeline_id = $2 and deleted_at is null offset $3 limit 1
);

-- name: built -> Built
-- How many indexes each tenant has, and how many of them are derived.
select tenant_id, count(*) as every, count(*) filter (where derived) as derived from field_indexes
where wanted and ready group by tenant_id;

-- name: views
-- What views a pipeline has.
select definition::text from views
where tenant_id = $1 and definition->>'pipeline_id' = $2::uuid::text and definition->>'deleted' is distinct from 'true'
order by id limit $3;

-- name: valid
-- Whether an index is there and whole; null where there is none.
select i.indisvalid from pg_index i where i.indexrelid = to_regclass($1);

-- name: mark_ready
update field_indexes set ready = true where tenant_id = $1 and name = $2 and wanted;

-- name: forget
delete from field_indexes where tenant_id = $1 and name = $2 and not wanted;

-- name: orphans
-- Indexes of fields that nobody speaks of any more: their tenant is gone.
select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid = 'records'::regclass and c.relname ~ '^field_[0-9a-f]{32}$'
    and not exists (select from field_indexes f where f.name = c.relname);

-- name: build
create index concurrently {name} on records (tenant_id, ({expression}), id)
where pipeline_id = '{pipeline_id}' and deleted_at is null;

-- name: observe
-- How the values are spread, which the planner does not learn from a partial index.
create statistics if not exists {statistics} on ({expression}) from records;

-- name: learn
analyze records;

-- name: overlook
drop statistics if exists {statistics};

-- name: used
-- Whether an index on the same expression is wanted by anyone.
select exists (select 1 from field_indexes where expression = $1 and wanted);

-- name: drop
drop index concurrently if exists {name};

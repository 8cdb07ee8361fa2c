-- migrate: up
create table field_indexes (
    tenant_id uuid not null,
    name text not null,
    pipeline_id uuid not null,
    expression text not null,
    wanted boolean not null,
    ready boolean not null,
    primary key (tenant_id, name)
);
create index field_indexes_pipeline on field_indexes (tenant_id, pipeline_id);
create index field_indexes_open on field_indexes (name) where not ready;
call isolate('field_indexes');
-- Who builds indexes owns the tables, and must know what all tenants want.
create policy field_indexes_builder on field_indexes to millrace_migrate using (true) with check (true);

-- migrate: down
drop table field_indexes;

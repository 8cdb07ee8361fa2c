-- migrate: up
-- include: tenancy.sql
-- include: outbox.sql
-- include: roles.sql

create table pipelines (
    tenant_id uuid not null,
    id uuid not null,
    version bigint not null,
    definition jsonb not null,
    primary key (tenant_id, id)
);
call isolate('pipelines');

create table relationship_types (
    tenant_id uuid not null,
    id uuid not null,
    version bigint not null,
    name text not null,
    inverse_name text,
    source_pipeline uuid,
    target_pipeline uuid,
    cardinality text not null,
    on_delete text not null,
    deleted boolean not null,
    primary key (tenant_id, id)
);
create index relationship_types_name on relationship_types (tenant_id, name);
call isolate('relationship_types');

create table records (
    tenant_id uuid not null,
    id uuid not null,
    pipeline_id uuid not null,
    version bigint not null,
    title text not null,
    data jsonb not null,
    created_at timestamptz not null,
    created_by uuid not null,
    updated_at timestamptz not null,
    updated_by uuid not null,
    deleted_at timestamptz,
    primary key (tenant_id, id)
);
create index records_pipeline on records (tenant_id, pipeline_id, id) where deleted_at is null;
create index records_updated on records (tenant_id, pipeline_id, updated_at, id) where deleted_at is null;
create index records_trash on records (tenant_id, pipeline_id, id) where deleted_at is not null;
-- Values are looked for within one pipeline; what bulk writes leave pending stays small, as every reader scans it.
create index records_data on records using gin (pipeline_id, data jsonb_path_ops) with (gin_pending_list_limit = 512);
call isolate('records');

create table history (
    tenant_id uuid not null,
    record_id uuid not null,
    version bigint not null,
    operation text not null,
    changes jsonb not null,
    actor_id uuid not null,
    actor_kind text not null,
    actor_name text not null,
    at timestamptz not null,
    primary key (tenant_id, record_id, version)
);
call isolate('history');

create table unique_values (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    field text not null,
    value text not null,
    record_id uuid not null,
    primary key (tenant_id, pipeline_id, field, value)
);
create index unique_values_record on unique_values (tenant_id, record_id);
call isolate('unique_values');

create table edges (
    tenant_id uuid not null,
    id uuid not null,
    type text not null,
    source_id uuid not null,
    source_pipeline uuid not null,
    target_id uuid not null,
    target_pipeline uuid not null,
    field text not null,
    one_target boolean not null,
    one_source boolean not null,
    created_at timestamptz not null,
    created_by uuid not null,
    primary key (tenant_id, id)
);
create unique index edges_source on edges (tenant_id, source_id, type, target_id, field);
create index edges_target on edges (tenant_id, target_id, type);
create unique index edges_one_target on edges (tenant_id, type, source_id) where one_target;
create unique index edges_one_source on edges (tenant_id, type, target_id) where one_source;
call isolate('edges');

create table operations (
    tenant_id uuid not null,
    principal_id uuid not null,
    operation_id text not null,
    record_id uuid not null,
    version bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, principal_id, operation_id)
);
create index operations_created on operations (tenant_id, created_at);
call isolate('operations');

-- migrate: down
drop table operations;
drop table edges;
drop table unique_values;
drop table history;
drop table records;
drop table relationship_types;
drop table pipelines;
drop table role_grants;
drop table inbox;
drop table outbox;
drop procedure isolate(regclass);
drop function current_tenant();

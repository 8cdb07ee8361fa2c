-- migrate: up
-- include: tenancy.sql
-- include: outbox.sql
-- include: roles.sql

create table pipelines (
    tenant_id uuid not null,
    id uuid not null,
    version bigint not null,
    slug text not null,
    name text not null,
    description text,
    icon text,
    color text,
    title_template text,
    fields jsonb not null,
    created_at timestamptz not null,
    created_by uuid not null,
    updated_at timestamptz not null,
    updated_by uuid not null,
    deleted_at timestamptz,
    primary key (tenant_id, id)
);
create unique index pipelines_slug on pipelines (tenant_id, slug) where deleted_at is null;
call isolate('pipelines');

create table pipeline_versions (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    version bigint not null,
    definition jsonb not null,
    changed_at timestamptz not null,
    changed_by uuid not null,
    primary key (tenant_id, pipeline_id, version),
    foreign key (tenant_id, pipeline_id) references pipelines
);
call isolate('pipeline_versions');

create table relationship_types (
    tenant_id uuid not null,
    id uuid not null,
    version bigint not null,
    name text not null,
    inverse_name text not null,
    source_pipeline uuid,
    target_pipeline uuid,
    cardinality text not null,
    on_delete text not null,
    implicit boolean not null,
    created_at timestamptz not null,
    created_by uuid not null,
    updated_at timestamptz not null,
    updated_by uuid not null,
    primary key (tenant_id, id),
    unique (tenant_id, name)
);
call isolate('relationship_types');

-- migrate: down
drop table relationship_types;
drop table pipeline_versions;
drop table pipelines;
drop table role_grants;
drop table inbox;
drop table outbox;
drop procedure isolate(regclass);
drop function current_tenant();

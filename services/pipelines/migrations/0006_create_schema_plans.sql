-- migrate: up
-- `claims`: by field the name under which its unique values are claimed. `pending`: what jobs still do to records.
alter table pipelines
    add column claims jsonb not null default '{}',
    add column pending jsonb not null default '[]';

create table schema_plans (
    tenant_id uuid not null,
    id uuid not null,
    pipeline_id uuid not null,
    version bigint not null,
    evolution jsonb not null,
    changes jsonb not null,
    created_by uuid not null,
    expires_at timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, pipeline_id) references pipelines
);
create index schema_plans_expiry on schema_plans (tenant_id, expires_at);
call isolate('schema_plans');

-- Removed fields; what they held is kept by records under `key`.
create table field_trash (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    key text not null,
    field jsonb not null,
    version bigint not null,
    removed_at timestamptz not null,
    removed_by uuid not null,
    primary key (tenant_id, pipeline_id, key),
    foreign key (tenant_id, pipeline_id) references pipelines
);
call isolate('field_trash');

-- migrate: down
drop table field_trash;
drop table schema_plans;
alter table pipelines drop column claims, drop column pending;

-- migrate: up
create table views (
    tenant_id uuid not null,
    id uuid not null,
    pipeline_id uuid not null,
    version bigint not null,
    name text not null,
    kind text not null,
    visibility text not null,
    owner_id uuid not null,
    filter jsonb,
    sort text,
    fields text[],
    group_by text,
    date_field text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    updated_by uuid not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, pipeline_id) references pipelines
);
create index views_pipeline on views (tenant_id, pipeline_id, id);
call isolate('views');

-- migrate: down
drop table views;

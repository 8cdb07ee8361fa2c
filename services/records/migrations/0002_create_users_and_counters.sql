-- migrate: up
create table users (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    primary key (tenant_id, id)
);
call isolate('users');

create table counters (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    field text not null,
    last bigint not null,
    primary key (tenant_id, pipeline_id, field)
);
call isolate('counters');

-- migrate: down
drop table counters;
drop table users;

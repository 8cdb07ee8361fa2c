-- migrate: up
create table views (
    tenant_id uuid not null,
    id uuid not null,
    version bigint not null,
    definition jsonb not null,
    primary key (tenant_id, id)
);
call isolate('views');

-- migrate: down
drop table views;

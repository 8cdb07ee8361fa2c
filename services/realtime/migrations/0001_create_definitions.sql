-- migrate: up
-- include: tenancy.sql
-- include: outbox.sql
-- include: roles.sql

create table definitions (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    version bigint not null,
    definition jsonb not null,
    primary key (tenant_id, pipeline_id)
);
call isolate('definitions');

-- migrate: down
drop table definitions;
drop table role_grants;
drop table inbox;
drop table outbox;
drop procedure isolate(regclass);
drop function current_tenant();

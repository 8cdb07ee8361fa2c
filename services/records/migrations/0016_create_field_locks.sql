-- migrate: up
-- Leases of fields. The numbers of tokens only grow, so that who comes later always has the higher one.
create sequence lock_tokens;
create table field_locks (
    tenant_id uuid not null,
    record_id uuid not null,
    field text not null,
    token bigint not null default nextval('lock_tokens'),
    principal_id uuid not null,
    holder text not null,
    connection text not null,
    until timestamptz not null,
    primary key (tenant_id, record_id, field)
);
call isolate('field_locks');
-- Whether there may be locks: who locks a row sees by this that they are to be looked at.
alter table records add column fenced boolean not null default false;

-- migrate: down
alter table records drop column fenced;
drop table field_locks;
drop sequence lock_tokens;

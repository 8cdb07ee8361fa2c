-- migrate: up
create table tenant_settings (
    tenant_id uuid not null primary key,
    require_if_match boolean not null
);
call isolate('tenant_settings');

-- migrate: down
drop table tenant_settings;

-- migrate: up
create table tenant_settings (
    tenant_id uuid not null primary key,
    time_zone text not null
);
call isolate('tenant_settings');

-- migrate: down
drop table tenant_settings;

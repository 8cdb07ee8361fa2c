-- migrate: up
alter table tenant_settings add column time_zone text not null default 'UTC';

-- migrate: down
alter table tenant_settings drop column time_zone;

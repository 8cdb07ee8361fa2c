-- migrate: up
-- Null where no event has told it yet: auth is asked then.
alter table tenant_settings add column status text;
alter table tenant_settings add column addresses text[] not null default '{}';

-- migrate: down
alter table tenant_settings drop column addresses;
alter table tenant_settings drop column status;

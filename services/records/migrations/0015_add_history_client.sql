-- migrate: up
alter table history add column client jsonb;

-- migrate: down
alter table history drop column client;

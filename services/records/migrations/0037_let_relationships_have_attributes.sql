-- migrate: up
alter table edges add column attributes jsonb;

-- migrate: down
alter table edges drop column attributes;

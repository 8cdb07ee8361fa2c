-- migrate: up
alter table pipelines add column require_if_match boolean not null default false;

-- migrate: down
alter table pipelines drop column require_if_match;

-- migrate: up
alter table pipelines add column rules jsonb not null default '[]';

-- migrate: down
alter table pipelines drop column rules;

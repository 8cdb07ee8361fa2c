-- migrate: alone
-- migrate: up
drop index concurrently if exists edges_source;

-- migrate: down
create unique index concurrently if not exists edges_source on edges (tenant_id, source_id, type, target_id, field);

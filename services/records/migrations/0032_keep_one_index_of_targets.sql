-- migrate: alone
-- migrate: up
drop index concurrently if exists edges_target;

-- migrate: down
create index concurrently if not exists edges_target on edges (tenant_id, target_id, type);

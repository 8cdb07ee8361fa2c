-- migrate: alone
-- migrate: up
create index concurrently if not exists edges_in on edges (tenant_id, target_id, type)
    include (source_id, source_pipeline);

-- migrate: down
drop index concurrently if exists edges_in;

-- migrate: alone
-- migrate: up
create unique index concurrently if not exists edges_out on edges (tenant_id, source_id, type, target_id, field)
    include (target_pipeline);

-- migrate: down
drop index concurrently if exists edges_out;

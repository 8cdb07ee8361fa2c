-- migrate: alone
-- migrate: up
create index concurrently if not exists jobs_exported on jobs (tenant_id, finished_at)
    where kind = 'export' and result ? 'report_url';

-- migrate: down
drop index concurrently if exists jobs_exported;

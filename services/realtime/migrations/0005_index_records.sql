-- accept: require-concurrent-index-creation in 0.1.0: before the first release
-- migrate: up
create index notifications_record on notifications (tenant_id, record_id) where record_id is not null;
create index deliveries_sent on deliveries (tenant_id, record_id) where state <> 'pending';

-- migrate: down
drop index deliveries_sent;
drop index notifications_record;

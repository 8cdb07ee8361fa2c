-- accept: require-concurrent-index-creation in 0.1.0: before the first release
-- migrate: up
-- Records that were deleted for good and that other rows may still mention: where a process that looks for these goes on.
create table tombstones (
    tenant_id uuid not null,
    id uuid not null,
    record_ids uuid[] not null,
    pipeline_ids uuid[] not null,
    place jsonb,
    due timestamptz not null default now(),
    primary key (tenant_id, id)
);
create index tombstones_due on tombstones (due);
call isolate('tombstones');
create policy tombstones_forgetter on tombstones to millrace_records_relay using (true) with check (true);
grant select, update on tombstones to millrace_records_relay;

-- For how many days a tenant's trash is kept (0: for ever), and when it was looked through last.
alter table tenant_settings add column trash_days integer not null default 30;
alter table tenant_settings add column swept_at timestamptz not null default '-infinity';
create index tenant_settings_swept on tenant_settings (swept_at) where trash_days > 0;
create policy tenant_settings_sweeper on tenant_settings to millrace_records_relay using (true) with check (true);
grant select, update on tenant_settings to millrace_records_relay;
create index records_deleted on records (tenant_id, deleted_at) where deleted_at is not null;

-- migrate: down
drop index records_deleted;
revoke select, update on tenant_settings from millrace_records_relay;
drop policy tenant_settings_sweeper on tenant_settings;
drop index tenant_settings_swept;
alter table tenant_settings drop column swept_at;
alter table tenant_settings drop column trash_days;
drop table tombstones;

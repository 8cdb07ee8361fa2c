-- migrate: up
create table files (
    tenant_id uuid not null,
    id uuid not null,
    pipeline_id uuid not null,
    field text not null,
    name text not null,
    media_type text not null,
    size bigint not null,
    digest text not null,
    uploaded_at timestamptz not null,
    uploaded_by uuid not null,
    primary key (tenant_id, id)
);
call isolate('files');

-- Which fields of which records hold a file or once held it, as history still tells; a record's end is theirs.
create table file_uses (
    tenant_id uuid not null,
    file_id uuid not null,
    record_id uuid not null,
    field text not null,
    primary key (tenant_id, file_id, record_id, field)
);
create index file_uses_record on file_uses (tenant_id, record_id);
call isolate('file_uses');

-- Objects that are to go unless something holds them by then: noted before there is one, so that none is forgotten.
create table file_ends (
    tenant_id uuid not null,
    file_id uuid not null,
    due timestamptz not null,
    primary key (tenant_id, file_id)
);
create index file_ends_due on file_ends (due);
call isolate('file_ends');
-- Who looks for what is due must see where, of whichever tenant.
create policy file_ends_pruner on file_ends to millrace_records_relay using (true) with check (true);
grant select, update on file_ends to millrace_records_relay;

-- migrate: down
drop table file_ends;
drop table file_uses;
drop table files;

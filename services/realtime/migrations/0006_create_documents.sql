-- migrate: up
-- Shared documents. `snapshot` is the state after `compacted` updates, `last` the number of the last one; up to `written`
-- the text is in the record. `merged` is the position of the last change of the record that the document knows: then the
-- field was as the document after `base` updates, and what others changed since (`branch`).
create table documents (
    tenant_id uuid not null,
    record_id uuid not null,
    field text not null,
    pipeline_id uuid not null,
    snapshot bytea not null,
    compacted bigint not null default 1,
    last bigint not null default 1,
    written bigint not null default 1,
    size bigint not null,
    merged bigint not null default 0,
    base bigint not null default 1,
    branch bytea,
    editor jsonb,
    primary key (tenant_id, record_id, field)
);
call isolate('documents');

create table document_updates (
    tenant_id uuid not null,
    record_id uuid not null,
    field text not null,
    seq bigint not null,
    data bytea not null,
    primary key (tenant_id, record_id, field, seq),
    foreign key (tenant_id, record_id, field) references documents (tenant_id, record_id, field) on delete cascade
);
call isolate('document_updates');

-- Documents with something to do, across tenants for who does it: since when, and when next.
create table document_dues (
    tenant_id uuid not null,
    record_id uuid not null,
    field text not null,
    since timestamptz not null default now(),
    next_at timestamptz not null,
    primary key (tenant_id, record_id, field),
    foreign key (tenant_id, record_id, field) references documents (tenant_id, record_id, field) on delete cascade
);
create index document_dues_next on document_dues (next_at);
call isolate('document_dues');
create policy document_dues_relay on document_dues to millrace_{service}_relay using (true);
grant select, update on document_dues to millrace_{service}_relay;

-- migrate: down
drop table document_dues, document_updates, documents;

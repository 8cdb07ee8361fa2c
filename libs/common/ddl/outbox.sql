create table outbox (
    id bigint generated always as identity primary key,
    tenant_id uuid not null,
    event_id uuid not null,
    subject text not null,
    payload text not null,
    traceparent text,
    transaction_id xid8 not null default pg_current_xact_id(),
    created_at timestamptz not null default now()
);

alter table outbox enable row level security;
alter table outbox force row level security;
create policy outbox_insert on outbox for insert with check (tenant_id = current_tenant());
create policy outbox_relay on outbox to millrace_{service}_relay using (true);
grant select, delete on outbox to millrace_{service}_relay;
revoke select, update, delete on outbox from millrace_{service};

create table inbox (
    tenant_id uuid not null,
    consumer text not null,
    event_id uuid not null,
    handled_at timestamptz not null default now(),
    primary key (tenant_id, consumer, event_id)
);
create index inbox_handled_at on inbox (tenant_id, handled_at);
call isolate('inbox');

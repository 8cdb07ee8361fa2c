-- migrate: up

-- The people of each tenant, as auth announces them: whose webhooks and notifications are judged by which roles.
create table users (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    status text not null,
    roles uuid[] not null,
    primary key (tenant_id, id)
);
call isolate('users');

-- How far changes were taken for webhooks and notifications. It is of no tenant.
create table positions (
    name text primary key,
    position bigint not null
);

create table webhooks (
    tenant_id uuid not null,
    id uuid not null,
    url text not null,
    events text[] not null,
    pipeline_id uuid,
    filter jsonb,
    description text not null,
    state text not null check (state in ('active', 'paused', 'disabled')),
    reason text,
    owner_id uuid not null,
    secrets bytea not null,
    failing_since timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create index webhooks_owner on webhooks (tenant_id, owner_id);
call isolate('webhooks');

-- When a webhook has something to do, and who is at it. Senders see these rows of all tenants, and nothing else.
create table due (
    tenant_id uuid not null,
    webhook_id uuid not null,
    next_at timestamptz not null default 'infinity',
    lease uuid,
    leased_until timestamptz,
    failures int not null default 0,
    pending int not null default 0,
    replay_after bigint,
    replay_to bigint,
    primary key (tenant_id, webhook_id),
    foreign key (tenant_id, webhook_id) references webhooks (tenant_id, id) on delete cascade
);
create index due_next_at on due (next_at);
call isolate('due');
create policy due_relay on due to millrace_{service}_relay using (true);
grant select, update on due to millrace_{service}_relay;

create sequence delivery_numbers;

-- One event for one webhook. `number` is its place in order; a later one of the same record has `next_at` at infinity
-- until those before it are finished.
create table deliveries (
    tenant_id uuid not null,
    webhook_id uuid not null,
    event_id uuid not null,
    id uuid not null,
    number bigint not null default nextval('delivery_numbers'),
    seq bigint not null,
    kind text not null,
    record_id uuid,
    payload text not null,
    state text not null default 'pending' check (state in ('pending', 'succeeded', 'failed', 'withheld')),
    forced boolean not null default false,
    attempts int not null default 0,
    next_at timestamptz not null default 'infinity',
    last_status int,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    primary key (tenant_id, webhook_id, event_id),
    foreign key (tenant_id, webhook_id) references webhooks (tenant_id, id) on delete cascade
);
create unique index deliveries_id on deliveries (tenant_id, id);
create index deliveries_ready on deliveries (tenant_id, webhook_id, next_at, number) where state = 'pending';
create index deliveries_record on deliveries (tenant_id, webhook_id, record_id, number) where state = 'pending';
create index deliveries_listed on deliveries (tenant_id, webhook_id, id);
create index deliveries_finished on deliveries (tenant_id, webhook_id, finished_at) where state <> 'pending';
call isolate('deliveries');

create table attempts (
    tenant_id uuid not null,
    delivery_id uuid not null,
    number int not null,
    at timestamptz not null,
    status int,
    error text,
    milliseconds int not null,
    response text not null,
    primary key (tenant_id, delivery_id, number),
    foreign key (tenant_id, delivery_id) references deliveries (tenant_id, id) on delete cascade
);
call isolate('attempts');

-- migrate: down
drop table attempts, deliveries;
drop sequence delivery_numbers;
drop table due, webhooks, positions, users;

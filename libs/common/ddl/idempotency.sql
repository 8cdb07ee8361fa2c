create table idempotency (
    tenant_id uuid not null,
    principal_id uuid not null,
    request bytea not null,
    fingerprint bytea not null,
    status smallint not null,
    headers bytea not null,
    body bytea not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, principal_id, request)
);
create index idempotency_created_at on idempotency (created_at);
call isolate('idempotency');
create policy idempotency_pruning on idempotency to millrace_{service}_relay
    using (created_at < now() - interval '24 hours');
grant select (tenant_id, principal_id, request, created_at), delete on idempotency to millrace_{service}_relay;

-- migrate: up

-- What signs in by a secret of its own, with some of its tenant's roles. Of the secret only a hash is kept.
create table api_keys (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    kind text not null check (kind in ('api_key', 'device')),
    name text not null,
    hash bytea not null,
    prefix text not null,
    roles uuid[] not null,
    created_by uuid not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    last_used_address text,
    primary key (tenant_id, id),
    unique (tenant_id, hash)
);
create index api_keys_created_by on api_keys (tenant_id, created_by, id);
call isolate('api_keys');

-- migrate: down
drop table api_keys;

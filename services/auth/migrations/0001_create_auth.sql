-- migrate: up
-- include: tenancy.sql
-- include: outbox.sql
-- include: roles.sql

-- The directory of tenants is asked before a tenant is known. A transaction that sets `app.lookup` sees the one tenant
-- or domain of exactly that name besides its own; a statement without a where clause still shows no other.
create table tenants (
    id uuid primary key,
    slug text not null unique,
    name text not null,
    status text not null default 'active' check (status in ('active', 'suspended')),
    locale text not null default 'en',
    time_zone text not null default 'UTC',
    branding jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
alter table tenants enable row level security;
alter table tenants force row level security;
create policy tenant_isolation on tenants using (id = current_tenant()) with check (id = current_tenant());
create policy lookup on tenants for select using (slug = current_setting('app.lookup', true));

create table domains (
    tenant_id uuid not null references tenants (id) on delete cascade,
    host text primary key,
    created_at timestamptz not null default now()
);
create index domains_tenant on domains (tenant_id);
call isolate('domains');
create policy lookup on domains for select using (host = current_setting('app.lookup', true));

create table users (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    email text not null,
    name text not null,
    locale text not null,
    status text not null check (status in ('active', 'invited', 'deactivated')),
    password_hash text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, email)
);
call isolate('users');

create table roles (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    slug text not null,
    name text not null,
    seeded boolean not null default false,
    inherits uuid[] not null default '{}',
    grants jsonb not null default '[]',
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, slug)
);
call isolate('roles');

create table role_members (
    tenant_id uuid not null,
    user_id uuid not null,
    role_id uuid not null,
    primary key (tenant_id, user_id, role_id),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade,
    foreign key (tenant_id, role_id) references roles (tenant_id, id)
);
create index role_members_role on role_members (tenant_id, role_id);
call isolate('role_members');

-- A session is the family of all refresh tokens that came from one sign-in.
create table sessions (
    tenant_id uuid not null,
    id uuid not null,
    user_id uuid not null,
    user_agent text,
    address text,
    created_at timestamptz not null default now(),
    last_used_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index sessions_user on sessions (tenant_id, user_id, id);
call isolate('sessions');

create table refresh_tokens (
    tenant_id uuid not null,
    hash bytea not null,
    session_id uuid not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (tenant_id, hash),
    foreign key (tenant_id, session_id) references sessions (tenant_id, id) on delete cascade
);
create index refresh_tokens_session on refresh_tokens (tenant_id, session_id);
call isolate('refresh_tokens');

-- Of the platform, not of a tenant. The private part is encrypted, and erased when the key retires.
create table signing_keys (
    kid text primary key,
    state text not null check (state in ('next', 'active', 'retired')),
    public_key bytea not null,
    private_key bytea,
    created_at timestamptz not null default now(),
    retired_at timestamptz,
    check ((state = 'retired') = (retired_at is not null)),
    check ((state = 'retired') = (private_key is null))
);
create unique index signing_keys_state on signing_keys (state) where state <> 'retired';

-- migrate: down
drop table signing_keys, refresh_tokens, sessions, role_members, roles, users, domains, tenants;
drop table role_grants, inbox, outbox;
drop procedure isolate;
drop function current_tenant;

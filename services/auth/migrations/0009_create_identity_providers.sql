-- migrate: up

-- Where people of a tenant sign in elsewhere. The client's secret is encrypted.
create table identity_providers (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    name text not null,
    enabled boolean not null,
    configuration jsonb not null,
    client_secret bytea,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
call isolate('identity_providers');

-- Who a provider's subjects are here.
create table external_identities (
    tenant_id uuid not null,
    provider_id uuid not null,
    subject text not null,
    user_id uuid not null,
    created_at timestamptz not null,
    primary key (tenant_id, provider_id, subject),
    foreign key (tenant_id, provider_id) references identity_providers (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index external_identities_user on external_identities (tenant_id, user_id);
call isolate('external_identities');

-- Sign-ins that went to a provider and have not come back, each bound to the browser that began it.
create table sso_flows (
    tenant_id uuid not null,
    hash bytea not null,
    browser bytea not null,
    provider_id uuid not null,
    nonce text not null,
    verifier text not null,
    redirect_uri text not null,
    return_to text,
    expires_at timestamptz not null,
    primary key (tenant_id, hash),
    foreign key (tenant_id, provider_id) references identity_providers (tenant_id, id) on delete cascade
);
create index sso_flows_expires_at on sso_flows (tenant_id, expires_at);
call isolate('sso_flows');

-- Sign-ins that came back and whose tokens the page is to fetch.
create table sso_arrivals (
    tenant_id uuid not null,
    hash bytea not null,
    browser bytea not null,
    user_id uuid not null,
    mfa boolean not null,
    expires_at timestamptz not null,
    primary key (tenant_id, hash),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index sso_arrivals_expires_at on sso_arrivals (tenant_id, expires_at);
call isolate('sso_arrivals');

-- migrate: down
drop table sso_arrivals, sso_flows, external_identities, identity_providers;

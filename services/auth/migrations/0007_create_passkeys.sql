-- migrate: up

-- Credentials of WebAuthn authenticators. `rp_id` is the host that a credential was made for, and is good at.
create table passkeys (
    tenant_id uuid not null,
    id uuid not null,
    user_id uuid not null,
    name text not null,
    rp_id text not null,
    credential_id bytea not null,
    public_key bytea not null,
    sign_count bigint not null,
    synced boolean not null,
    created_at timestamptz not null,
    last_used_at timestamptz,
    primary key (tenant_id, id),
    unique (tenant_id, credential_id),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index passkeys_user on passkeys (tenant_id, user_id, id);
call isolate('passkeys');

-- Challenges that an authenticator is to sign: of a user who registers one, or of nobody known who signs in.
create table passkey_challenges (
    tenant_id uuid not null references tenants (id) on delete cascade,
    hash bytea not null,
    user_id uuid,
    challenge bytea not null,
    expires_at timestamptz not null,
    primary key (tenant_id, hash)
);
create index passkey_challenges_expires_at on passkey_challenges (tenant_id, expires_at);
call isolate('passkey_challenges');

-- migrate: down
drop table passkey_challenges, passkeys;

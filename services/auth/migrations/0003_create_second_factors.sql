-- migrate: up

alter table tenants add column security jsonb not null default '{}';

-- Whether the sign-in that a session began with was by two factors.
alter table sessions add column mfa boolean not null default false;

-- A user's secret of time-based codes, encrypted. `last_step` is the newest time step whose code was used.
create table totp_secrets (
    tenant_id uuid not null,
    user_id uuid not null,
    secret bytea not null,
    created_at timestamptz not null,
    confirmed_at timestamptz,
    last_step bigint not null default 0,
    primary key (tenant_id, user_id),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
call isolate('totp_secrets');

create table recovery_codes (
    tenant_id uuid not null,
    user_id uuid not null,
    hash bytea not null,
    primary key (tenant_id, user_id, hash),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
call isolate('recovery_codes');

-- Sign-ins whose password was right and whose second factor is still to come.
create table mfa_challenges (
    tenant_id uuid not null,
    hash bytea not null,
    user_id uuid not null,
    expires_at timestamptz not null,
    primary key (tenant_id, hash),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index mfa_challenges_user on mfa_challenges (tenant_id, user_id);
call isolate('mfa_challenges');

-- migrate: down
drop table mfa_challenges, recovery_codes, totp_secrets;
alter table sessions drop column mfa;
alter table tenants drop column security;

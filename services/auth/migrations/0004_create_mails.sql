-- migrate: up

alter table users add column email_verified_at timestamptz;

-- Single-use secrets that were mailed to a person. Only a hash is kept.
create table mailed_tokens (
    tenant_id uuid not null,
    hash bytea not null,
    purpose text not null check (purpose in ('invitation', 'password_reset', 'email_verification')),
    user_id uuid not null,
    email text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (tenant_id, hash),
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index mailed_tokens_user on mailed_tokens (tenant_id, user_id, purpose);
call isolate('mailed_tokens');

-- Mails to be sent after the commit, encrypted; a row goes when its mail has gone. The relay sees those of all tenants.
create table mails (
    tenant_id uuid not null,
    id uuid not null,
    message bytea not null,
    attempts int not null default 0,
    next_at timestamptz not null default now(),
    primary key (tenant_id, id)
);
create index mails_next_at on mails (next_at);
call isolate('mails');
create policy mails_relay on mails to millrace_{service}_relay using (true);
grant select, update, delete on mails to millrace_{service}_relay;

-- migrate: down
drop table mails, mailed_tokens;
alter table users drop column email_verified_at;

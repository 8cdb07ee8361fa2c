-- migrate: up

-- Domains that a tenant says are its own, until a record in the DNS proves it. Several tenants may claim one.
create table domain_claims (
    tenant_id uuid not null references tenants (id) on delete cascade,
    host text not null,
    token text not null,
    created_at timestamptz not null,
    primary key (tenant_id, host)
);
call isolate('domain_claims');

-- migrate: down
drop table domain_claims;

-- migrate: up

-- Assertions of SAML providers that were taken, until they are too old to be taken again.
create table saml_assertions (
    tenant_id uuid not null,
    provider_id uuid not null,
    hash bytea not null,
    expires_at timestamptz not null,
    primary key (tenant_id, provider_id, hash),
    foreign key (tenant_id, provider_id) references identity_providers (tenant_id, id) on delete cascade
);
create index saml_assertions_expires_at on saml_assertions (tenant_id, expires_at);
call isolate('saml_assertions');

-- migrate: down
drop table saml_assertions;

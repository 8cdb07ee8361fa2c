-- name: providers -> ProviderRow
-- Bounded: a tenant has at most 50.
select id, name, enabled, configuration, created_at, updated_at
from identity_providers where tenant_id = $1 order by id;

-- name: provider -> ProviderRow
select id, name, enabled, configuration, created_at, updated_at
from identity_providers where tenant_id = $1 and id = $2;

-- name: secret
select client_secret from identity_providers where tenant_id = $1 and id = $2;

-- name: insert
insert into identity_providers (tenant_id, id, name, enabled, configuration, client_secret, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $7);

-- name: update
-- Subjects are of their issuer: at another one the same name is somebody else's.
with strangers as (
    delete from external_identities e using identity_providers p
    where e.tenant_id = $1 and e.provider_id = $2 and p.tenant_id = $1 and p.id = $2
        and p.configuration ->> 'issuer' is distinct from $5::jsonb ->> 'issuer'
)
update identity_providers set name = $3, enabled = $4, configuration = $5, client_secret = $6, updated_at = $7
where tenant_id = $1 and id = $2;

-- name: delete
delete from identity_providers where tenant_id = $1 and id = $2;

-- name: user_of
select user_id from external_identities where tenant_id = $1 and provider_id = $2 and subject = $3;

-- name: link
insert into external_identities (tenant_id, provider_id, subject, user_id, created_at) values ($1, $2, $3, $4, $5);

-- name: forget_flows
delete from sso_flows where tenant_id = $1 and expires_at < $2;

-- name: insert_flow
insert into sso_flows (tenant_id, hash, browser, provider_id, nonce, verifier, redirect_uri, return_to, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: take_flow -> Flow
delete from sso_flows where tenant_id = $1 and hash = $2 and browser = $3 and provider_id = $4 and expires_at > $5
returning provider_id, nonce, verifier, redirect_uri, return_to;

-- name: take_posted_flow
delete from sso_flows where tenant_id = $1 and hash = $2 and provider_id = $3 and expires_at > $4
returning provider_id, nonce, verifier, redirect_uri, return_to, browser;

-- name: forget_assertions
delete from saml_assertions where tenant_id = $1 and expires_at < $2;

-- name: note_assertion
insert into saml_assertions (tenant_id, provider_id, hash, expires_at) values ($1, $2, $3, $4)
on conflict do nothing returning true;

-- name: forget_arrivals
delete from sso_arrivals where tenant_id = $1 and expires_at < $2;

-- name: insert_arrival
insert into sso_arrivals (tenant_id, hash, browser, user_id, mfa, expires_at) values ($1, $2, $3, $4, $5, $6);

-- name: take_arrival -> Arrival
delete from sso_arrivals where tenant_id = $1 and hash = $2 and browser = $3 and expires_at > $4
returning user_id, mfa;

-- name: totp_secrets
select tenant_id, user_id, secret from totp_secrets where (tenant_id, user_id) > ($1, $2)
order by tenant_id, user_id limit $3 for no key update;

-- name: put_totp_secrets
update totp_secrets as it set secret = new.secret
from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as new (tenant_id, user_id, secret)
where (it.tenant_id, it.user_id) = (new.tenant_id, new.user_id);

-- name: identity_providers
select tenant_id, id, client_secret from identity_providers
where (tenant_id, id) > ($1, $2) and client_secret is not null
order by tenant_id, id limit $3 for no key update;

-- name: put_identity_providers
update identity_providers as it set client_secret = new.secret
from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as new (tenant_id, id, secret)
where (it.tenant_id, it.id) = (new.tenant_id, new.id);

-- name: mails
select tenant_id, id, message from mails where (tenant_id, id) > ($1, $2)
order by tenant_id, id limit $3 for no key update;

-- name: put_mails
update mails as it set message = new.secret
from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as new (tenant_id, id, secret)
where (it.tenant_id, it.id) = (new.tenant_id, new.id);

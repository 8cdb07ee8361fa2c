-- migrate: up
-- What seals with another secret goes through all tenants, and sees and writes nothing but what is sealed.
create policy totp_secrets_resealing on totp_secrets to millrace_{service}_relay using (true);
grant select (tenant_id, user_id, secret), update (secret) on totp_secrets to millrace_{service}_relay;
create policy identity_providers_resealing on identity_providers to millrace_{service}_relay using (true);
grant select (tenant_id, id, client_secret), update (client_secret) on identity_providers to millrace_{service}_relay;

-- migrate: down
revoke select (tenant_id, id, client_secret), update (client_secret) on identity_providers from millrace_{service}_relay;
drop policy identity_providers_resealing on identity_providers;
revoke select (tenant_id, user_id, secret), update (secret) on totp_secrets from millrace_{service}_relay;
drop policy totp_secrets_resealing on totp_secrets;

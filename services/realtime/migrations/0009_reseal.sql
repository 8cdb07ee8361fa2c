-- migrate: up
-- What seals with another secret goes through all tenants, and sees and writes nothing but what is sealed.
create policy webhooks_resealing on webhooks to millrace_{service}_relay using (true);
grant select (tenant_id, id, secrets), update (secrets) on webhooks to millrace_{service}_relay;

-- migrate: down
revoke select (tenant_id, id, secrets), update (secrets) on webhooks from millrace_{service}_relay;
drop policy webhooks_resealing on webhooks;

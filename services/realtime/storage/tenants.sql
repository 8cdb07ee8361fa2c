-- name: put
insert into tenant_settings (tenant_id, status, time_zone, addresses) values ($1, $2, $3, $4)
on conflict (tenant_id) do update
set status = excluded.status, time_zone = excluded.time_zone, addresses = excluded.addresses;

-- name: get -> Tenant
select status, time_zone, addresses from tenant_settings where tenant_id = $1 and status is not null;

-- name: get_zone
-- Where the tenant's days begin.
select time_zone from tenant_settings where tenant_id = $1;

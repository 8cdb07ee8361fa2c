-- name: put_zone
insert into tenant_settings (tenant_id, time_zone) values ($1, $2)
on conflict (tenant_id) do update set time_zone = excluded.time_zone;

-- name: get_zone
-- Where the tenant's days begin.
select time_zone from tenant_settings where tenant_id = $1;

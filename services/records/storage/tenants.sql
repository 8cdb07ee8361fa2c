-- name: put
insert into tenant_settings (tenant_id, require_if_match, trash_days, time_zone) values ($1, $2, $3, $4)
on conflict (tenant_id) do update set
    require_if_match = excluded.require_if_match, trash_days = excluded.trash_days, time_zone = excluded.time_zone;

-- name: put_asked
-- What was asked for, unless the tenant was heard of meanwhile.
insert into tenant_settings (tenant_id, require_if_match, trash_days, time_zone) values ($1, $2, $3, $4)
on conflict (tenant_id) do nothing;

-- name: wishes -> Wishes
select require_if_match, time_zone from tenant_settings where tenant_id = $1;

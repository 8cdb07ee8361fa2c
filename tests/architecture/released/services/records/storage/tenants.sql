-- name: put
insert into tenant_settings (tenant_id, require_if_match, trash_days) values ($1, $2, $3)
on conflict (tenant_id) do update set require_if_match = excluded.require_if_match, trash_days = excluded.trash_days;

-- name: require_if_match
select require_if_match from tenant_settings where tenant_id = $1;

-- name: webhooks
-- The webhooks that a person owns, after one.
select id, url, created_at from webhooks where tenant_id = $1 and owner_id = $2 and id > $3 order by id limit $4;

-- name: notifications
-- What a person was told, after one.
select id, kind, title, record_id, data, created_at, read_at from notifications
where tenant_id = $1 and user_id = $2 and id > $3 order by id limit $4;

-- name: told_others
-- So many of what a tenant's users were told, after one; with what it says where that names somebody.
select user_id, id, case when data #>> '{actor,id}' = $2::uuid::text then data end as data from notifications
where tenant_id = $1 and (user_id, id) > ($3, $4) order by user_id, id limit $5;

-- name: put_told
update notifications set data = new.data::jsonb from unnest($2::uuid[], $3::text[]) as new(id, data)
where notifications.tenant_id = $1 and notifications.id = new.id;

-- name: deliveries
-- So many deliveries to webhooks, after one; with what is sent where that speaks of somebody.
select id, webhook_id, kind, created_at, case when position($2::uuid::text in payload) > 0 then payload end as payload
from deliveries where tenant_id = $1 and id > $3 order by id limit $4;

-- name: put_payloads
update deliveries set payload = new.payload from unnest($2::uuid[], $3::text[]) as new(id, payload)
where deliveries.tenant_id = $1 and deliveries.id = new.id;

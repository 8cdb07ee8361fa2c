-- name: webhooks
-- The webhooks that a person owns, after one.
select id, url, created_at from webhooks where tenant_id = $1 and owner_id = $2 and id > $3 order by id limit $4;

-- name: lock_webhooks
-- One after the other counts a tenant's webhooks, and adds to them.
select pg_advisory_xact_lock(hashtextextended('webhooks ' || $1::text, 0));

-- name: count_webhooks
select count(*) from webhooks where tenant_id = $1;

-- name: insert_webhook
insert into webhooks (
    tenant_id, id, url, events, pipeline_id, filter, description, state, owner_id, secrets, created_at, updated_at
) values ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, $10, $10);

-- name: insert_due
insert into due (tenant_id, webhook_id) values ($1, $2);

-- name: get_webhook -> Webhook
select id, url, events, pipeline_id, filter, description, state, reason, owner_id, secrets, failing_since, created_at,
    updated_at
from webhooks where tenant_id = $1 and id = $2;

-- name: lock_webhook -> Webhook
select id, url, events, pipeline_id, filter, description, state, reason, owner_id, secrets, failing_since, created_at,
    updated_at
from webhooks where tenant_id = $1 and id = $2 for update;

-- name: list_webhooks -> Webhook
select id, url, events, pipeline_id, filter, description, state, reason, owner_id, secrets, failing_since, created_at,
    updated_at
from webhooks where tenant_id = $1 and id > $2 order by id limit $3;

-- name: active_webhooks -> Webhook
-- All that changes go to now, in the order in which they are locked.
select id, url, events, pipeline_id, filter, description, state, reason, owner_id, secrets, failing_since, created_at,
    updated_at
from webhooks where tenant_id = $1 and state = 'active' order by id;

-- name: update_webhook
update webhooks set url = $3, events = $4, pipeline_id = $5, filter = $6, description = $7, state = $8, reason = $9,
    owner_id = $10, failing_since = $11, updated_at = $12
where tenant_id = $1 and id = $2;

-- name: hold_filters
-- The filters of a pipeline's webhooks, which nobody else changes until the end of the transaction.
select id, filter from webhooks where tenant_id = $1 and pipeline_id = $2 and filter is not null
order by id for no key update;

-- name: put_filter
update webhooks set filter = $3 where tenant_id = $1 and id = $2;

-- name: put_secrets
update webhooks set secrets = $3, updated_at = $4 where tenant_id = $1 and id = $2;

-- name: sealed
select tenant_id, id, secrets from webhooks where (tenant_id, id) > ($1, $2)
order by tenant_id, id limit $3 for no key update;

-- name: put_sealed
update webhooks as it set secrets = new.secrets
from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as new (tenant_id, id, secrets)
where (it.tenant_id, it.id) = (new.tenant_id, new.id);

-- name: note_failing
-- When deliveries began to fail, or null when one succeeded.
update webhooks set failing_since = $3 where tenant_id = $1 and id = $2;

-- name: end_webhook
-- Ends an active webhook for a reason.
update webhooks set state = $3, reason = $4, updated_at = $5 where tenant_id = $1 and id = $2 and state = 'active'
returning true;

-- name: pause_owned
-- The owner may not sign in (any more).
update webhooks set state = 'paused', reason = $3 where tenant_id = $1 and owner_id = $2 and state = 'active';

-- name: resume_owned
update webhooks set state = 'active', reason = null
where tenant_id = $1 and owner_id = $2 and state = 'paused' and reason = $3 returning id;

-- name: delete_webhook
delete from webhooks where tenant_id = $1 and id = $2 returning true;

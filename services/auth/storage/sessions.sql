-- name: insert
-- A new session with its first token, where there is one; returns whether the user's others know the device, their
-- addresses, and whether any are over or too many.
with token as (
    insert into refresh_tokens (tenant_id, hash, session_id, created_at, expires_at)
    select $1, $13, $2, $6, $14 where $13::bytea is not null
)
insert into sessions (tenant_id, id, user_id, user_agent, address, created_at, last_used_at, expires_at, mfa, actor_id,
    actor_name, reason)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
returning (
    select row(
        coalesce(bool_or(s.user_agent is not distinct from $4) filter (where s.actor_id is null), false),
        array_agg(distinct coalesce(s.address, '')) filter (where s.actor_id is null),
        count(*) >= $15 or bool_or(s.expires_at < $6)
    ) from sessions s where s.tenant_id = $1 and s.user_id = $3
) as seen;

-- name: page -> Session
select id, user_id, user_agent, address, created_at, last_used_at, expires_at, mfa, actor_id, actor_name, reason
from sessions
where tenant_id = $1 and (user_id = $2 or actor_id = $2) and id > $3 and revoked_at is null and expires_at > now() order by id limit $4;

-- name: count
select count(*) from sessions
where tenant_id = $1 and (user_id = $2 or actor_id = $2) and revoked_at is null and expires_at > now();

-- name: use -> Session
-- A session that goes on; none where it has ended.
update sessions set last_used_at = $3, user_agent = $4, address = $5
where tenant_id = $1 and id = $2 and revoked_at is null and expires_at > $3
returning id, user_id, user_agent, address, created_at, last_used_at, expires_at, mfa, actor_id, actor_name, reason;

-- name: began
-- When a session began that goes on.
select created_at from sessions where tenant_id = $1 and user_id = $2 and id = $3 and revoked_at is null;

-- name: mark_mfa
update sessions set mfa = true where tenant_id = $1 and id = $2;

-- name: revoke
update sessions set revoked_at = now()
where tenant_id = $1 and (user_id = $2 or actor_id = $2) and id = $3 and revoked_at is null and expires_at > now()
returning true;

-- name: revoke_all
update sessions set revoked_at = now() where tenant_id = $1 and user_id = $2 and revoked_at is null;

-- name: revoke_others
update sessions set revoked_at = now()
where tenant_id = $1 and user_id = $2 and id <> $3 and revoked_at is null and expires_at > now() returning id;

-- name: revoke_single_factor
-- Ends all that began with one factor; whose they were.
update sessions set revoked_at = now()
where tenant_id = $1 and not mfa and revoked_at is null and expires_at > now() returning user_id, id;

-- name: revoke_oldest
-- Ends what is beyond the newest of a user's sessions, and forgets those that are over: a revoked one is kept until its
-- last token would have ended, so that a reuse is still noticed.
with forgotten as (delete from sessions where tenant_id = $1 and user_id = $2 and expires_at < now())
update sessions set revoked_at = now() where tenant_id = $1 and id in (
    select id from sessions
    where tenant_id = $1 and user_id = $2 and revoked_at is null and expires_at > now()
    order by last_used_at desc, id desc offset $3
) returning id;

-- name: insert_token
insert into refresh_tokens (tenant_id, hash, session_id, created_at, expires_at) values ($1, $2, $3, $4, $5);

-- name: take_token -> TokenRow
select t.session_id, s.user_id, t.expires_at, t.used_at
from refresh_tokens t join sessions s on s.tenant_id = t.tenant_id and s.id = t.session_id
where t.tenant_id = $1 and t.hash = $2 for update of t;

-- name: mark_used
update refresh_tokens set used_at = $3 where tenant_id = $1 and hash = $2 and used_at is null;

-- name: forget_expired
delete from refresh_tokens where tenant_id = $1 and session_id = $2 and expires_at < now();

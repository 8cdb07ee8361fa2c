-- name: enqueue
insert into mails (tenant_id, id, message) values ($1, $2, $3);

-- name: claim -> Waiting
-- Takes mails that are due; each comes again later, unless it is sent by then.
update mails set attempts = attempts + 1, next_at = now() + least(3600, 15 * 2 ^ attempts) * interval '1 second'
where (tenant_id, id) in (
    select tenant_id, id from mails where next_at <= now() order by next_at limit $1 for update skip locked
) returning tenant_id, id, message, attempts;

-- name: done
delete from mails where tenant_id = $1 and id = $2;

-- name: insert_token
insert into mailed_tokens (tenant_id, hash, purpose, user_id, email, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: forget_tokens
delete from mailed_tokens where tenant_id = $1 and user_id = $2 and purpose = $3;

-- name: newest
select max(created_at) from mailed_tokens where tenant_id = $1 and user_id = $2 and purpose = $3;

-- name: take_token -> MailedToken
-- Whoever takes it uses it up.
delete from mailed_tokens where tenant_id = $1 and hash = $2 and purpose = $3 and expires_at > $4
returning purpose, user_id, email, created_at, expires_at;

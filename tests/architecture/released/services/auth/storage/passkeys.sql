-- name: of_user -> Passkey
-- Bounded: a user has at most 50.
select id, user_id, name, rp_id, credential_id, public_key, sign_count, synced, created_at, last_used_at
from passkeys where tenant_id = $1 and user_id = $2 order by id;

-- name: by_credential -> Passkey
select id, user_id, name, rp_id, credential_id, public_key, sign_count, synced, created_at, last_used_at
from passkeys where tenant_id = $1 and credential_id = $2 for update;

-- name: insert
insert into passkeys (tenant_id, id, user_id, name, rp_id, credential_id, public_key, sign_count, synced, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: use
update passkeys set sign_count = $3, last_used_at = $4 where tenant_id = $1 and id = $2;

-- name: rename
update passkeys set name = $4 where tenant_id = $1 and user_id = $2 and id = $3;

-- name: delete
delete from passkeys where tenant_id = $1 and user_id = $2 and id = $3 returning name;

-- name: forget_challenges
delete from passkey_challenges where tenant_id = $1 and expires_at < $2;

-- name: insert_challenge
insert into passkey_challenges (tenant_id, hash, user_id, challenge, expires_at) values ($1, $2, $3, $4, $5);

-- name: take_challenge
-- Of a user who registers, or, where none is named, of one who signs in.
delete from passkey_challenges
where tenant_id = $1 and hash = $2 and user_id is not distinct from $3 and expires_at > $4 returning challenge;

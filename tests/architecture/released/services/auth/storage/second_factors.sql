-- name: get -> TotpSecret
select secret, confirmed_at, last_step from totp_secrets where tenant_id = $1 and user_id = $2;

-- name: put
-- Another secret while none is confirmed.
insert into totp_secrets (tenant_id, user_id, secret, created_at) values ($1, $2, $3, $4)
on conflict (tenant_id, user_id) do update
set secret = excluded.secret, created_at = excluded.created_at, last_step = 0
where totp_secrets.confirmed_at is null returning true;

-- name: use_step
-- Each step's code counts once, and none before one that was used.
update totp_secrets set last_step = $3, confirmed_at = coalesce(confirmed_at, $4)
where tenant_id = $1 and user_id = $2 and last_step < $3 returning true;

-- name: remove
delete from totp_secrets where tenant_id = $1 and user_id = $2;

-- name: insert_recovery_codes
insert into recovery_codes (tenant_id, user_id, hash) select $1, $2, unnest($3::bytea[]);

-- name: remove_recovery_codes
delete from recovery_codes where tenant_id = $1 and user_id = $2;

-- name: use_recovery_code
delete from recovery_codes where tenant_id = $1 and user_id = $2 and hash = $3 returning true;

-- name: count_recovery_codes
select count(*) from recovery_codes where tenant_id = $1 and user_id = $2;

-- name: insert_challenge
insert into mfa_challenges (tenant_id, hash, user_id, expires_at) values ($1, $2, $3, $4);

-- name: forget_challenges
delete from mfa_challenges where tenant_id = $1 and user_id = $2 and expires_at < $3;

-- name: challenged
select user_id from mfa_challenges where tenant_id = $1 and hash = $2 and expires_at > $3;

-- name: take_challenge
delete from mfa_challenges where tenant_id = $1 and hash = $2 and expires_at > $3 returning user_id;

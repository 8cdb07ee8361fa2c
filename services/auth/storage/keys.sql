-- name: lock
-- One instance at a time makes keys.
select pg_advisory_xact_lock(hashtext('millrace signing keys'));

-- name: published -> KeyRow
-- The key that signs, the one that will, and those whose tokens may still live.
select kid, state, public_key, private_key from signing_keys where state <> 'retired' or retired_at > $1
order by created_at;

-- name: signed -> KeyRow
-- Every key that has ever signed. Bounded: one comes with each rotation.
select kid, state, public_key, null::bytea as private_key from signing_keys where state <> 'next'
order by created_at desc limit 1000;

-- name: insert
insert into signing_keys (kid, state, public_key, private_key) values ($1, $2, $3, $4);

-- name: put_private_key
update signing_keys set private_key = $2 where kid = $1;

-- name: retire
update signing_keys set state = 'retired', retired_at = now(), private_key = null where state = 'active';

-- name: promote
update signing_keys set state = 'active' where state = 'next' returning kid;

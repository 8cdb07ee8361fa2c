-- name: every
-- All of them. Bounded: one for each purpose comes with each other secret.
select id, purpose, secret from older_keys order by created_at, id limit 1000;

-- name: insert
insert into older_keys (id, purpose, secret) values ($1, $2, $3);

-- name: put
update older_keys set secret = $2 where id = $1;

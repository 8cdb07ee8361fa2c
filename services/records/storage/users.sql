-- name: keep
-- A user that fields may name.
insert into users (tenant_id, id, name) values ($1, $2, $3)
on conflict (tenant_id, id) do update set name = excluded.name;

-- name: forget
delete from users where tenant_id = $1 and id = $2;

-- name: known
-- Which of these are users of the tenant.
select id from users where tenant_id = $1 and id = any($2::uuid[]);

-- name: names
-- What users are called.
select id, name from users where tenant_id = $1 and id = any($2::uuid[]);

-- name: keep_user
-- What auth announced of a person.
insert into users (tenant_id, id, name, status, roles) values ($1, $2, $3, $4, $5)
on conflict (tenant_id, id) do update set name = excluded.name, status = excluded.status, roles = excluded.roles;

-- name: meet_user
-- A person who was met before auth's announcement came.
insert into users (tenant_id, id, name, status, roles) values ($1, $2, $3, $4, $5)
on conflict (tenant_id, id) do nothing;

-- name: forget_user
delete from users where tenant_id = $1 and id = $2;

-- name: users -> Person
-- Those of some people who are known.
select id, name, status, roles from users where tenant_id = $1 and id = any($2::uuid[]);

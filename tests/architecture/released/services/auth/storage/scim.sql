-- name: external_ids
-- What users are called elsewhere.
select id, external_id from users where tenant_id = $1 and id = any($2::uuid[]) and external_id is not null;

-- name: put_user
update users set external_id = $3 where tenant_id = $1 and id = $2 and external_id is distinct from $3;

-- name: of_external_id
-- Bounded: who is called the same by several systems is told of up to ten times.
select id from users where tenant_id = $1 and external_id = $2 order by id limit 10;

-- name: user_ids
select id from users where tenant_id = $1 order by id offset $2 limit $3;

-- name: role_external_ids
-- Bounded: a tenant has at most 200 roles.
select id, external_id from roles where tenant_id = $1 and external_id is not null;

-- name: put_role
update roles set external_id = $3 where tenant_id = $1 and id = $2 and external_id is distinct from $3;

-- name: members -> Member
select m.role_id, m.user_id, u.name from role_members m join users u on u.tenant_id = m.tenant_id and u.id = m.user_id
where m.tenant_id = $1 and m.role_id = any($2::uuid[]) order by m.role_id, m.user_id limit $3;

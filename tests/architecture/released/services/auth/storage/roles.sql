-- name: all -> RoleRow
-- Bounded: a tenant has at most 200 roles.
select id, slug, name, seeded, inherits, grants, version, created_at, updated_at
from roles where tenant_id = $1 order by id;

-- name: insert
insert into roles (tenant_id, id, slug, name, seeded, inherits, grants, version, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: update
update roles set name = $3, inherits = $4, grants = $5, version = $6, updated_at = $7 where tenant_id = $1 and id = $2;

-- name: delete
delete from roles where tenant_id = $1 and id = $2;

-- name: write_flattened
-- Auth's own copy of what its events tell, so that it knows before they come round.
insert into role_grants (tenant_id, role_id, version, slug, name, grants) values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, role_id) do update
set version = excluded.version, slug = excluded.slug, name = excluded.name, grants = excluded.grants
where role_grants.version < excluded.version;

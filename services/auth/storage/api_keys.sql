-- name: insert
insert into api_keys (tenant_id, id, kind, name, hash, prefix, roles, created_by, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: get -> ApiKey
select id, kind, name, prefix, roles, created_by, created_at, expires_at, last_used_at, last_used_address
from api_keys where tenant_id = $1 and kind = $2 and id = $3;

-- name: page -> ApiKey
-- Those of one maker, or of all where none is named.
select id, kind, name, prefix, roles, created_by, created_at, expires_at, last_used_at, last_used_address
from api_keys where tenant_id = $1 and kind = $2 and ($3::uuid is null or created_by = $3) and id > $4
order by id limit $5;

-- name: of_maker -> ApiKey
select id, kind, name, prefix, roles, created_by, created_at, expires_at, last_used_at, last_used_address
from api_keys where tenant_id = $1 and kind = 'api_key' and created_by = $2 for update;

-- name: of_holders
-- The keys of all makers who have one of these roles, and the roles that their makers have.
select id, kind, name, prefix, roles, created_by, created_at, expires_at, last_used_at, last_used_address,
    array(select role_id from role_members h where h.tenant_id = $1 and h.user_id = k.created_by order by 1) as held
from api_keys k
where tenant_id = $1 and kind = 'api_key'
    and created_by in (select user_id from role_members where tenant_id = $1 and role_id = any($2::uuid[]))
order by id for update of k;

-- name: count
select count(*) from api_keys where tenant_id = $1 and kind = $2 and ($3::uuid is null or created_by = $3);

-- name: use -> ApiKey
-- A key that has not expired; whoever deletes it waits until the token for it is made.
update api_keys set last_used_at = $3, last_used_address = $4
where tenant_id = $1 and hash = $2 and (expires_at is null or expires_at > $3)
returning id, kind, name, prefix, roles, created_by, created_at, expires_at, last_used_at, last_used_address;

-- name: rename
update api_keys set name = $4 where tenant_id = $1 and kind = $2 and id = $3;

-- name: delete
delete from api_keys where tenant_id = $1 and id = $2;

-- name: with_role
select count(*) from api_keys where tenant_id = $1 and $2 = any(roles);

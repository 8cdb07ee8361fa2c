-- name: get -> User
select id, email, name, locale, status, created_at, updated_at, email_verified_at,
    array(select role_id from role_members m where m.tenant_id = u.tenant_id and m.user_id = u.id order by 1) as roles
from users u where tenant_id = $1 and id = $2;

-- name: sorted -> User
-- In any order of columns that are never null.
select id, email, name, locale, status, created_at, updated_at, email_verified_at,
    array(select role_id from role_members m where m.tenant_id = u.tenant_id and m.user_id = u.id order by 1) as roles
from users u where tenant_id = $1 and {beyond} order by {order} limit $2;

-- name: introduced
-- The users of these ids, and those who go by these names.
select id, name from users where tenant_id = $1 and id = any($2::uuid[])
union
select id, name from users where tenant_id = $1 and lower(name) in (select lower(it) from unnest($3::text[]) it)
limit 5000;

-- name: page_of -> User
select id, email, name, locale, status, created_at, updated_at, email_verified_at,
    array(select role_id from role_members m where m.tenant_id = u.tenant_id and m.user_id = u.id order by 1) as roles
from users u where tenant_id = $1 and id = any($2::uuid[]) order by id;

-- name: invited -> User
select id, email, name, locale, status, created_at, updated_at, email_verified_at,
    array(select role_id from role_members m where m.tenant_id = u.tenant_id and m.user_id = u.id order by 1) as roles
from users u where tenant_id = $1 and status = 'invited' and id > $2 order by id limit $3;

-- name: count_invited
select count(*) from users where tenant_id = $1 and status = 'invited';

-- name: count
select count(*) from users where tenant_id = $1;

-- name: credentials -> Credentials
select id, password_hash, status from users where tenant_id = $1 and email = $2;

-- name: find_credentials
-- The same, within the round trip that sets the tenant.
select of.id, of.password_hash, of.status from tenant cross join lateral (
    select id, password_hash, status from users where tenant_id = tenant.id and email = $2 offset 0
) as of;

-- name: insert
insert into users (tenant_id, id, email, name, locale, status, password_hash, created_at, updated_at, email_verified_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9);

-- name: update
update users set email = $3, name = $4, locale = $5, status = $6, updated_at = $7, email_verified_at = $8
where tenant_id = $1 and id = $2;

-- name: set_password_hash
-- Only where nobody changed it meanwhile.
update users set password_hash = $4 where tenant_id = $1 and id = $2 and password_hash = $3 returning true;

-- name: put_password_hash
update users set password_hash = $3 where tenant_id = $1 and id = $2;

-- name: delete
delete from users where tenant_id = $1 and id = $2;

-- name: lock
-- Whoever changes what a user may do waits for tokens being issued, and they for the change.
select from users where tenant_id = $1 and id = $2 for update;

-- name: hold
-- While tokens are issued, what the user may do stays as it is.
select from users where tenant_id = $1 and id = $2 for share;

-- name: add_role
insert into role_members (tenant_id, user_id, role_id) select $1, $2, unnest($3::uuid[]) on conflict do nothing;

-- name: remove_roles
delete from role_members where tenant_id = $1 and user_id = $2 and role_id <> all($3::uuid[]);

-- name: other_active_members
-- How many active users but one have a role.
select count(*) from role_members m join users u on u.tenant_id = m.tenant_id and u.id = m.user_id
where m.tenant_id = $1 and m.role_id = $2 and m.user_id <> $3 and u.status = 'active';

-- name: with_role -> User
-- Active users who have a role, in the order of their ids.
select u.id, email, name, locale, status, created_at, updated_at, email_verified_at,
    array(select role_id from role_members r where r.tenant_id = u.tenant_id and r.user_id = u.id order by 1) as roles
from users u join role_members m on m.tenant_id = u.tenant_id and m.user_id = u.id
where u.tenant_id = $1 and m.role_id = $2 and u.status = 'active' order by u.id limit $3;

-- name: members
select count(*) from role_members where tenant_id = $1 and role_id = $2;

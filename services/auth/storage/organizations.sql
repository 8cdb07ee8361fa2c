-- name: look_up
-- Makes the tenant or domain of exactly this name visible in the transaction.
select set_config('app.lookup', $1, true);

-- name: id_of_slug
select id from tenants where slug = $1;

-- name: id_of_domain
select tenant_id from domains where host = $1;

-- name: get -> OrganizationRow
select id, slug, name, status, locale, time_zone, branding, security, created_at, updated_at,
    array(select host from domains where tenant_id = tenants.id order by host) as domains, limits,
    (select due_at from deletions where deletions.id = tenants.id) as deletes_at
from tenants where id = $1;

-- name: entering
-- The same, with what else a sign-in asks: the user, whether they have a second factor, and what their roles are called.
select t.id, slug, t.name, t.status, t.locale, time_zone, branding, security, t.created_at, t.updated_at,
    array(select host from domains where tenant_id = t.id order by host) as domains, limits,
    (select due_at from deletions where deletions.id = t.id) as deletes_at,
    exists (
        select from totp_secrets where tenant_id = $1 and user_id = $2 and confirmed_at is not null
    ) as confirmed,
    array(
        select row(r.id, r.slug, r.name)
        from role_members m join roles r on r.tenant_id = m.tenant_id and r.id = m.role_id
        where m.tenant_id = $1 and m.user_id = $2 order by r.id
    ) as roles,
    u.id, u.email, u.name, u.locale, u.status, u.created_at, u.updated_at, u.email_verified_at
from tenants t join users u on u.tenant_id = t.id where t.id = $1 and u.id = $2;

-- name: insert
insert into tenants (id, slug, name, locale, time_zone, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $6);

-- name: insert_domain
insert into domains (tenant_id, host) values ($1, $2);

-- name: update
update tenants set name = $2, locale = $3, time_zone = $4, branding = $5, security = $6, updated_at = $7, status = $8,
    limits = $9
where id = $1;

-- name: lock
-- Whoever changes roles or their members waits here for whoever does so already.
select from tenants where id = $1 for no key update;

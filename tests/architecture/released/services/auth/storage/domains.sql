-- name: claims -> Claim
-- Bounded: a tenant has at most 50.
select host, token, created_at from domain_claims where tenant_id = $1 order by host;

-- name: claim
insert into domain_claims (tenant_id, host, token, created_at) values ($1, $2, $3, $4) on conflict do nothing;

-- name: unclaim
delete from domain_claims where tenant_id = $1 and host = $2 returning true;

-- name: delete
delete from domains where tenant_id = $1 and host = $2 returning true;

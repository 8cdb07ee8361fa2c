-- name: insert
insert into links (tenant_id, id, kind, pipeline_id, target_id, token_hash, owner_id, settings, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
returning created_at;

-- name: lock
-- One link at a time is made in a pipeline, so that the count is right.
select pg_advisory_xact_lock(hashtextextended($1::uuid::text || $2::uuid::text, 14));

-- name: count
-- How many links are open in a pipeline.
select count(*) from links where tenant_id = $1 and pipeline_id = $2 and revoked_at is null;

-- name: opened -> Link
-- The link of a token; by the clock of the database it has ended or not.
select id, kind, pipeline_id, target_id, owner_id, settings::text as settings, created_at, expires_at, revoked_at,
    revoked_at is not null or coalesce(expires_at <= now(), false) as ended
from links where tenant_id = $1 and token_hash = $2 and kind = $3;

-- name: get -> Link
select id, kind, pipeline_id, target_id, owner_id, settings::text as settings, created_at, expires_at, revoked_at,
    revoked_at is not null or coalesce(expires_at <= now(), false) as ended
from links where tenant_id = $1 and pipeline_id = $2 and kind = $3 and id = $4;

-- name: page -> Link
-- The links of a pipeline, or of one of its records or views, that were not ended by hand.
select id, kind, pipeline_id, target_id, owner_id, settings::text as settings, created_at, expires_at, revoked_at,
    revoked_at is not null or coalesce(expires_at <= now(), false) as ended
from links
where tenant_id = $1 and pipeline_id = $2 and kind = $3 and ($4::uuid is null or target_id = $4) and id > $5
    and revoked_at is null
order by id limit $6;

-- name: count_kind
select count(*) from links
where tenant_id = $1 and pipeline_id = $2 and kind = $3 and ($4::uuid is null or target_id = $4)
    and revoked_at is null;

-- name: change
-- What a link says, from now on in the name of who says so.
update links set settings = $3, owner_id = $4, expires_at = $5 where tenant_id = $1 and id = $2 and revoked_at is null
returning true;

-- name: hold -> Settings
-- What the links of a pipeline say that were not ended by hand, held until the transaction ends.
select id, settings::text as settings from links
where tenant_id = $1 and pipeline_id = $2 and revoked_at is null order by id for update;

-- name: say
-- What links say from now on, in the name of whose they are.
update links l set settings = said.settings::jsonb
from unnest($2::uuid[], $3::text[]) as said(id, settings) where l.tenant_id = $1 and l.id = said.id;

-- name: revoke
update links set revoked_at = now() where tenant_id = $1 and id = $2 and revoked_at is null returning true;

-- name: is_past
-- Whether a time has come, by the clock of the database.
select $1::timestamptz <= now();

-- name: insert
insert into deletions (id, slug, resumes, requested_at, due_at) values ($1, $2, $3, $4, $5)
on conflict (id) do nothing;

-- name: recall
-- Only before it was announced that the tenant is gone.
delete from deletions where id = $1 and announced_at is null returning resumes;

-- name: open -> Open
-- What there may be something to do for: it is due and not announced, was announced and nobody reported for a day, or
-- all have reported.
select id, announced_at is not null and reports ?& $1::text[] as reported from deletions
where finished_at is null and due_at <= now()
    and (announced_at is null or announced_at < now() - interval '1 day' or reports ?& $1::text[])
    and not exists (select from purges where purges.id = deletions.id)
order by due_at limit 20;

-- name: lock
select from deletions where id = $1 and finished_at is null for update skip locked;

-- name: announced
update deletions set announced_at = now() where id = $1;

-- name: begun
select exists (select from purges where id = $1);

-- name: report
update deletions set reports = reports || jsonb_build_object($2::text, $3::jsonb) where id = $1;

-- name: finish
-- What auth itself let go of is noted by then.
update deletions set finished_at = now(), reports = reports || jsonb_build_object('auth', p.counts)
from purges p where deletions.id = $1 and p.id = $1;

-- name: forget_organization
delete from tenants where id = $1;

-- name: newest -> Deletion
-- The last tenant of that slug, or the one of that id, that ends or has ended.
select id, slug, requested_at, due_at, announced_at, finished_at, reports from deletions
where slug = $1 or id::text = $1 order by requested_at desc limit 1;

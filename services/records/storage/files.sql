-- name: expect
-- Notes an object that is about to be written, so that it goes if nothing comes of it.
insert into file_ends (tenant_id, file_id, due) values ($1, $2, now() + make_interval(secs => $3));

-- name: expect_object
-- The same for what a job is given or makes, of which it may be the second try.
insert into file_ends (tenant_id, file_id, object, due) values ($1, $2, $3, now() + make_interval(secs => $4))
on conflict do nothing;

-- name: stored_bytes
-- Those of files, of what is being imported or exported, and of what was exported and is kept.
select (select coalesce(sum(size), 0) from files where tenant_id = $1)::bigint
    + (select coalesce(sum((case q.kind when 'import' then j.input else j.checkpoint end ->> 'size')::bigint), 0)
        from job_queue q join jobs j on j.id = q.job_id
        where q.tenant_id = $1 and j.tenant_id = $1 and q.kind in ('import', 'export'))::bigint
    + (select coalesce(sum((e.result ->> 'size')::bigint), 0) from jobs e
        where e.tenant_id = $1 and e.kind = 'export' and e.result ? 'report_url')::bigint;

-- name: insert
-- A file whose object is whole.
insert into files (tenant_id, id, pipeline_id, field, name, media_type, size, digest, uploaded_at, uploaded_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: get -> File
-- One file of a pipeline.
select id, pipeline_id, field, name, media_type, size, digest, uploaded_at, uploaded_by from files
where tenant_id = $1 and pipeline_id = $2 and id = $3;

-- name: hold -> File
-- Files of a pipeline, which stay until the transaction ends.
select id, pipeline_id, field, name, media_type, size, digest, uploaded_at, uploaded_by from files
where tenant_id = $1 and pipeline_id = $2 and id = any($3::uuid[]) order by id for update;

-- name: names
-- What files are called.
select id, name from files where tenant_id = $1 and id = any($2::uuid[]);

-- name: uses -> Use
-- Where files are held, or once were.
select file_id, record_id, field from file_uses where tenant_id = $1 and file_id = any($2::uuid[])
order by file_id, record_id, field limit 10000;

-- name: use
-- Lets records hold files, which therefore stay.
with kept as (
    delete from file_ends where tenant_id = $1 and file_id = any($2::uuid[])
)
insert into file_uses (tenant_id, file_id, record_id, field)
select $1, new.file_id, new.record_id, new.field
from unnest($2::uuid[], $3::uuid[], $4::text[]) as new(file_id, record_id, field)
on conflict do nothing;

-- name: claim -> End
-- What is due, of all tenants, left alone by others for a minute.
update file_ends set due = now() + interval '1 minute'
where (tenant_id, file_id) in (
    select tenant_id, file_id from file_ends where due <= now() order by due limit 100 for update skip locked
)
returning tenant_id, file_id, object;

-- name: lock
select id from files where tenant_id = $1 and id = $2 for update;

-- name: forget
-- A file that nothing holds.
delete from files f where f.tenant_id = $1 and f.id = $2 and not exists (
    select 1 from file_uses u where u.tenant_id = $1 and u.file_id = f.id
);

-- name: is_used
select exists (select 1 from file_uses where tenant_id = $1 and file_id = $2);

-- name: is_kept
-- Whether a job has its object: until it ends, or while what it made is kept.
select exists (
    select 1 from jobs
    where tenant_id = $1 and id = $2 and (state in ('queued', 'running') or (kind = 'export' and result ? 'report_url'))
);

-- name: postpone
update file_ends set due = now() + make_interval(secs => $3) where tenant_id = $1 and file_id = $2;

-- name: ended
-- The object is gone, or stays.
delete from file_ends where tenant_id = $1 and file_id = $2;

-- name: of_tenant -> End
-- Files of a tenant, and objects that may become some, or are a job's.
select tenant_id, id as file_id, null as object from files where tenant_id = $1
union select tenant_id, file_id, object from file_ends where tenant_id = $1
order by file_id limit $2;

-- name: forget_all
-- The files of a tenant whose objects are gone.
with a as (delete from files where tenant_id = $1 and id = any($2::uuid[])),
    b as (delete from file_uses where tenant_id = $1 and file_id = any($2::uuid[]))
delete from file_ends where tenant_id = $1 and file_id = any($2::uuid[]);

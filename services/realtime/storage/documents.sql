-- name: create
-- A document, unless there is one.
insert into documents (tenant_id, record_id, field, pipeline_id, snapshot, size, merged)
values ($1, $2, $3, $4, $5, octet_length($5::bytea), $6)
on conflict do nothing;

-- name: get -> Stored
-- A document without its updates.
select snapshot, compacted, last, written, size, merged, base, branch, editor::text as editor
from documents where tenant_id = $1 and record_id = $2 and field = $3;

-- name: hold -> Stored
-- A document without its updates, held until the transaction ends.
select snapshot, compacted, last, written, size, merged, base, branch, editor::text as editor
from documents where tenant_id = $1 and record_id = $2 and field = $3 for update;

-- name: updates -> Update
-- The updates of a document after one, in order.
select seq, data from document_updates
where tenant_id = $1 and record_id = $2 and field = $3 and seq > $4 order by seq;

-- name: last
-- The number of the last update of a document.
select last from documents where tenant_id = $1 and record_id = $2 and field = $3;

-- name: append
-- Adds an update within the bounds on a document's size, lets its text be written soon, and tells its number.
with next as (
    update documents set last = last + 1, size = size + octet_length($4::bytea), editor = coalesce($5::jsonb, editor)
    where tenant_id = $1 and record_id = $2 and field = $3 and size + octet_length($4::bytea) <= $6
    returning last
), due as (
    insert into document_dues (tenant_id, record_id, field, next_at)
    select $1, $2, $3, now() + make_interval(secs => $7) from next
    on conflict (tenant_id, record_id, field) do update set next_at = least(
        greatest(document_dues.next_at, excluded.next_at),
        greatest(now(), document_dues.since + make_interval(secs => $8))
    )
)
insert into document_updates (tenant_id, record_id, field, seq, data)
select $1, $2, $3, last, $4 from next returning seq;

-- name: merged
-- Notes which change of the record the document knows it by: one that wrote the text after so many updates, or another's.
update documents set merged = $4, base = $5, branch = $6 where tenant_id = $1 and record_id = $2 and field = $3;

-- name: written
-- Notes up to which update the text is in the record; what is done has nothing to do any more.
with noted as (
    update documents set written = greatest(written, $4)
    where tenant_id = $1 and record_id = $2 and field = $3
    returning last, written
)
delete from document_dues d using noted
where d.tenant_id = $1 and d.record_id = $2 and d.field = $3 and noted.last <= noted.written;

-- name: compact
-- Puts one state in the place of the updates up to one.
with gone as (
    delete from document_updates where tenant_id = $1 and record_id = $2 and field = $3 and seq <= $4
)
update documents d set snapshot = $5, compacted = $4, size = octet_length($5::bytea) + coalesce((
    select sum(octet_length(u.data)) from document_updates u
    where u.tenant_id = $1 and u.record_id = $2 and u.field = $3 and u.seq > $4
), 0)
where d.tenant_id = $1 and d.record_id = $2 and d.field = $3;

-- name: claim -> Due
-- Documents that have something to do, for a lease; as those who do it see them.
update document_dues d set next_at = now() + make_interval(secs => $2)
where (tenant_id, record_id, field) in (
    select tenant_id, record_id, field from document_dues
    where next_at <= now() order by next_at limit $1 for update skip locked
) returning tenant_id, record_id, field;

-- name: postpone
-- Lets a document wait.
update document_dues set since = now(), next_at = now() + make_interval(secs => $4)
where tenant_id = $1 and record_id = $2 and field = $3;

-- name: wake
-- Lets the documents of records be looked at now.
insert into document_dues (tenant_id, record_id, field, next_at)
select tenant_id, record_id, field, now() from documents where tenant_id = $1 and record_id = any($2::uuid[])
on conflict (tenant_id, record_id, field) do update set next_at = now();

-- name: rest
-- A document has nothing to do until it is edited again.
delete from document_dues where tenant_id = $1 and record_id = $2 and field = $3;

-- name: remove
-- Takes a document away.
delete from documents where tenant_id = $1 and record_id = $2 and field = $3;

-- name: of_records -> Named
-- The documents of records, with the last change that they know.
select record_id, field, merged from documents where tenant_id = $1 and record_id = any($2::uuid[]);

-- name: forget_record
-- Takes the documents of a record away.
delete from documents where tenant_id = $1 and record_id = $2;

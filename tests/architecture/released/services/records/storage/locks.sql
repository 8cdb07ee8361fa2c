-- name: held -> FieldLock
-- The locks of a record, also those whose lease has ended. The clock goes on within a transaction that waited.
select field, token, principal_id, holder, connection,
    extract(epoch from until - clock_timestamp())::float8 as seconds
from field_locks where tenant_id = $1 and record_id = $2;

-- name: grant
-- Gives a field to a connection, with a token higher than any before.
insert into field_locks (tenant_id, record_id, field, principal_id, holder, connection, until)
values ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7))
on conflict (tenant_id, record_id, field) do update
set token = nextval('lock_tokens'), principal_id = excluded.principal_id, holder = excluded.holder,
    connection = excluded.connection, until = excluded.until
returning token;

-- name: renew
-- Lengthens leases, also ones that have ended and that nobody else has got since.
update field_locks l set until = clock_timestamp() + make_interval(secs => $5)
from unnest($2::uuid[], $3::text[], $4::bigint[]) as asked(record_id, field, token)
where l.tenant_id = $1 and l.record_id = asked.record_id and l.field = asked.field and l.token = asked.token
returning l.token;

-- name: release
-- Ends leases, where their tokens are the present ones.
delete from field_locks l using unnest($2::uuid[], $3::text[], $4::bigint[]) as asked(record_id, field, token)
where l.tenant_id = $1 and l.record_id = asked.record_id and l.field = asked.field and l.token = asked.token
returning l.token;

-- name: fence
-- Notes whether a record may have locks.
update records set fenced = $3 where tenant_id = $1 and id = $2 and fenced <> $3;

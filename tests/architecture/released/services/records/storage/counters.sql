-- name: take
-- The next numbers of a field, as many as are wanted; the last of them. Others wait until the transaction ends.
insert into counters (tenant_id, pipeline_id, field, last) values ($1, $2, $3, $4)
on conflict (tenant_id, pipeline_id, field) do update set last = counters.last + excluded.last
returning last;

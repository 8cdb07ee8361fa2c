-- name: advance
-- Notes how far a document was written; nothing comes back where that, or more, was written before.
insert into document_texts (tenant_id, record_id, field, seq) values ($1, $2, $3, $4)
on conflict (tenant_id, record_id, field) do update set seq = excluded.seq where document_texts.seq < excluded.seq
returning true;

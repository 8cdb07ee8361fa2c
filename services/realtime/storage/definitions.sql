-- name: get_definition
-- The definition of a pipeline as it was announced last.
select definition from definitions where tenant_id = $1 and pipeline_id = $2;

-- name: put_definition
-- Keeps a definition unless a newer one is known. Deletion and restoring leave the version as it is.
insert into definitions (tenant_id, pipeline_id, version, definition) values ($1, $2, $3, $4)
on conflict (tenant_id, pipeline_id) do update
set version = excluded.version, definition = excluded.definition
where definitions.version <= excluded.version
returning true;

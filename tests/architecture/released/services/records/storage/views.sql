-- name: get
-- The newest form of a view that was heard of.
select definition::text from views where tenant_id = $1 and id = $2;

-- name: put
-- Keeps a view unless a newer form of it is there.
insert into views (tenant_id, id, version, definition) values ($1, $2, $3, $4::text::jsonb)
on conflict (tenant_id, id) do update set version = excluded.version, definition = excluded.definition
where views.version < excluded.version;

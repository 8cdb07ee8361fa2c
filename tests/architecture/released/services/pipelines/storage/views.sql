-- name: lock_views
-- One creation at a time in a pipeline, so that the count is right.
select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 9));

-- name: count_views
select count(*) from views where tenant_id = $1 and pipeline_id = $2;

-- name: insert_view
insert into views (
    tenant_id, id, pipeline_id, version, name, kind, visibility, owner_id, filter, sort, fields, group_by, date_field,
    created_at, updated_at, updated_by
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);

-- name: update_view
update views set
    version = $3, name = $4, kind = $5, visibility = $6, filter = $7, sort = $8, fields = $9, group_by = $10,
    date_field = $11, updated_at = $12, updated_by = $13
where tenant_id = $1 and id = $2;

-- name: delete_view
delete from views where tenant_id = $1 and id = $2;

-- name: get_view -> ViewRow
select
    id, pipeline_id, version, name, kind, visibility, owner_id, filter, sort, fields, group_by, date_field,
    created_at, updated_at, updated_by
from views where tenant_id = $1 and id = $2;

-- name: lock_view -> ViewRow
-- The same, held until the transaction ends.
select
    id, pipeline_id, version, name, kind, visibility, owner_id, filter, sort, fields, group_by, date_field,
    created_at, updated_at, updated_by
from views where tenant_id = $1 and id = $2 for update;

-- name: lock_all_views -> ViewRow
-- All of a pipeline, held until the transaction ends.
select
    id, pipeline_id, version, name, kind, visibility, owner_id, filter, sort, fields, group_by, date_field,
    created_at, updated_at, updated_by
from views where tenant_id = $1 and pipeline_id = $2 order by id for update;

-- name: list_views -> ViewRow
-- The shared ones and those of one owner.
select
    id, pipeline_id, version, name, kind, visibility, owner_id, filter, sort, fields, group_by, date_field,
    created_at, updated_at, updated_by
from views
where tenant_id = $1 and pipeline_id = $2 and id > $3 and (visibility = 'shared' or owner_id = $4)
order by id limit $5;

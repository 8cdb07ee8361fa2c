-- name: states -> State
-- Records as events tell of them, whoever may see them; none that is in the trash.
select id, pipeline_id, version, title, data::text as data,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at, created_by,
    to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as updated_at, updated_by
from records where tenant_id = $1 and id = any($2::uuid[]) and deleted_at is null;

-- name: versions -> Version
-- Versions of pipelines that a person made, after one.
select pipeline_id, version, changed_at from pipeline_versions
where tenant_id = $1 and changed_by = $2 and (pipeline_id, version) > ($3, $4) order by pipeline_id, version limit $5;

-- name: views -> View
-- Views that a person owns.
select id, pipeline_id, name, visibility from views where tenant_id = $1 and owner_id = $2 order by id limit 1000;

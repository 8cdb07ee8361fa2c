-- migrate: up
-- What removed fields held: version 0 is the value, any other what the history of that version said of the field.
create table trashed_values (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    key text not null,
    record_id uuid not null,
    version bigint not null,
    value jsonb not null,
    primary key (tenant_id, pipeline_id, key, record_id, version)
);
create index trashed_values_record on trashed_values (tenant_id, record_id);
call isolate('trashed_values');

-- The version of a pipeline that who writes its records must know. It is looked up after the mark of the writer can be
-- seen (in a volatile function each statement has a snapshot of its own): so who commits a newer version and then waits
-- for the marks that are there has waited for all who write by an older one, and has made nobody wait.
create function hold_definition(tenant uuid, pipeline uuid) returns bigint language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(hashtextextended(tenant::text || pipeline::text, 11));
    return (select version from pipelines where tenant_id = tenant and id = pipeline);
end $$;

-- migrate: down
drop function hold_definition(uuid, uuid);
drop table trashed_values;

-- migrate: up
-- How often the computed fields that look at a pipeline's records have changed; 0 where there never were any.
alter table pipelines add column followers bigint not null default 0;

-- As hold_definition, with what else who writes must know: whether others follow, and whether jobs are at work.
create function hold_pipeline(tenant uuid, pipeline uuid, out version bigint, out followers bigint, out pending integer)
language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(hashtextextended(tenant::text || pipeline::text, 11));
    select p.version, p.followers, coalesce(jsonb_array_length(p.definition->'pending'), 0)
    into version, followers, pending from pipelines p where p.tenant_id = tenant and p.id = pipeline;
end $$;

-- Records whose computed values follow as soon as nobody else writes them; a mark is committed with what it follows from.
create table computed_marks (
    tenant_id uuid not null,
    id uuid not null,
    pipeline_id uuid not null,
    record_id uuid not null,
    by jsonb not null,
    primary key (tenant_id, id)
);
create index computed_marks_record on computed_marks (tenant_id, record_id);
call isolate('computed_marks');
create policy computed_marks_runner on computed_marks for select to millrace_records_relay using (true);
grant select on computed_marks to millrace_records_relay;

-- migrate: down
drop table computed_marks;
drop function hold_pipeline(uuid, uuid);
alter table pipelines drop column followers;

-- migrate: up
-- Records some of whose computed values were put off, committed with what these follow from: one row for each time.
create table late_values (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    record_id uuid not null,
    id uuid not null,
    names text[] not null,
    by jsonb not null,
    primary key (tenant_id, pipeline_id, record_id, id)
);
call isolate('late_values');
create policy late_values_runner on late_values for select to millrace_records_relay using (true);
grant select on late_values to millrace_records_relay;

-- The last job of a pipeline that computes such values: there is none beside it, nor after it before it has ended.
create table late_jobs (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    job_id uuid,
    primary key (tenant_id, pipeline_id)
);
call isolate('late_jobs');

-- migrate: down
drop table late_jobs;
drop table late_values;

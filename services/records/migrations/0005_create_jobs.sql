-- migrate: up
create table jobs (
    tenant_id uuid not null,
    id uuid not null,
    kind text not null,
    pipeline_id uuid,
    state text not null,
    input jsonb not null,
    checkpoint jsonb not null,
    done bigint not null,
    total bigint,
    created bigint not null,
    updated bigint not null,
    refused bigint not null,
    result jsonb,
    error jsonb,
    principal jsonb not null,
    created_by uuid not null,
    created_at timestamptz not null,
    started_at timestamptz,
    updated_at timestamptz not null,
    finished_at timestamptz,
    primary key (tenant_id, id)
);
create index jobs_finished on jobs (tenant_id, finished_at);
call isolate('jobs');

-- Of each job that has not ended who works on it, and until when nobody else may.
create table job_queue (
    tenant_id uuid not null,
    job_id uuid not null,
    kind text not null,
    owner uuid,
    lease_until timestamptz,
    ready_at timestamptz not null,
    attempts integer not null,
    primary key (tenant_id, job_id)
);
create index job_queue_ready on job_queue (ready_at);
call isolate('job_queue');
-- Who looks for work must see where there is some, of whichever tenant; what it is they see only as that tenant.
create policy job_queue_runner on job_queue to millrace_records_relay using (true) with check (true);
grant select, update on job_queue to millrace_records_relay;

-- migrate: down
drop table job_queue;
drop table jobs;

-- accept: ban-drop-constraint in 0.1.0: before the first release
-- accept: constraint-missing-not-valid in 0.1.0: before the first release
-- accept: require-concurrent-index-creation in 0.1.0: before the first release
-- migrate: up

alter table tenants add column limits jsonb not null default '{}';
alter table tenants drop constraint tenants_status_check;
alter table tenants add constraint tenants_status_check
    check (status in ('active', 'suspended', 'deleting', 'purging'));

-- Tenants on their way out, and those that are gone: when, and what each service reported. Of the platform, because it
-- outlives the tenant; `resumes` is the status to which a restored one returns.
create table deletions (
    id uuid primary key,
    slug text not null,
    resumes text not null,
    requested_at timestamptz not null,
    due_at timestamptz not null,
    announced_at timestamptz,
    finished_at timestamptz,
    reports jsonb not null default '{}'
);
create index deletions_open on deletions (due_at) where finished_at is null;
create index deletions_slug on deletions (slug, requested_at);

-- Who acts in a session that is not their own, and why.
alter table sessions add column actor_id uuid, add column actor_name text, add column reason text;
create index sessions_actor on sessions (tenant_id, actor_id) where actor_id is not null;

-- What names of people in the audit log are encrypted with, by person. An erasure takes the salt away, and with it the
-- names; the entries stay as they are, so that their chain remains whole.
create table audit_salts (
    tenant_id uuid not null,
    person_id uuid not null,
    salt bytea,
    primary key (tenant_id, person_id)
);
call isolate('audit_salts');
revoke delete on audit_salts from millrace_{service};

-- What a person asked for: all that is held on them, or that it be erased. `source` and `cursor` are where the work is.
create table compliance_jobs (
    tenant_id uuid not null,
    id uuid not null,
    kind text not null check (kind in ('export', 'erasure')),
    state text not null check (state in ('running', 'done')),
    user_id uuid,
    email text,
    requested_by uuid not null,
    requested_at timestamptz not null,
    source text not null,
    cursor text,
    next_at timestamptz not null,
    finished_at timestamptz,
    summary jsonb not null default '{}',
    primary key (tenant_id, id)
);
create index compliance_jobs_open on compliance_jobs (next_at) where state = 'running';
call isolate('compliance_jobs');
create policy compliance_jobs_relay on compliance_jobs for select to millrace_{service}_relay using (true);
grant select on compliance_jobs to millrace_{service}_relay;

create table compliance_parts (
    tenant_id uuid not null,
    job_id uuid not null,
    number int not null,
    source text not null,
    document bytea not null,
    primary key (tenant_id, job_id, number),
    foreign key (tenant_id, job_id) references compliance_jobs on delete cascade
);
call isolate('compliance_parts');

-- migrate: down
drop table compliance_parts, compliance_jobs, audit_salts;
drop index sessions_actor;
alter table sessions drop column actor_id, drop column actor_name, drop column reason;
drop table deletions;
alter table tenants drop constraint tenants_status_check;
alter table tenants add constraint tenants_status_check check (status in ('active', 'suspended'));
alter table tenants drop column limits;

-- migrate: up

-- What was done that matters for security, in the order of `seq`; each entry's hash covers its text and the hash before.
create table audit_log (
    tenant_id uuid not null,
    seq bigint not null,
    at timestamptz not null,
    action text not null,
    actor_id uuid,
    target_id uuid,
    document text not null,
    hash bytea not null,
    primary key (tenant_id, seq)
);
create index audit_log_action on audit_log (tenant_id, action, seq);
create index audit_log_actor on audit_log (tenant_id, actor_id, seq);
create index audit_log_target on audit_log (tenant_id, target_id, seq);
call isolate('audit_log');
revoke update, delete on audit_log from millrace_{service};

-- The newest entry of each tenant; whoever adds one waits here for whoever does so already.
create table audit_heads (
    tenant_id uuid primary key,
    seq bigint not null,
    hash bytea not null
);
call isolate('audit_heads');
revoke delete on audit_heads from millrace_{service};

-- migrate: down
drop table audit_heads, audit_log;

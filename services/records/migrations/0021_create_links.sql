-- migrate: up
-- What is open to whoever has a link: a record, the list of a view, or a form. The token is known by its hash alone.
create table links (
    tenant_id uuid not null,
    id uuid not null,
    kind text not null,
    pipeline_id uuid not null,
    target_id uuid,
    token_hash bytea not null,
    owner_id uuid not null,
    settings jsonb not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    primary key (tenant_id, id)
);
create unique index links_token on links (tenant_id, token_hash);
create index links_target on links (tenant_id, target_id) where target_id is not null;
create index links_pipeline on links (tenant_id, pipeline_id, kind, id);
call isolate('links');

-- migrate: down
drop table links;

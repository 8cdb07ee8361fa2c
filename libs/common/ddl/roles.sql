create table role_grants (
    tenant_id uuid not null,
    role_id uuid not null,
    version bigint not null,
    slug text not null,
    name text not null,
    grants jsonb not null,
    primary key (tenant_id, role_id)
);
call isolate('role_grants');

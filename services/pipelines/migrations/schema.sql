-- What the migrations add up to, for reading. Written by `task schema`, checked by a test.

CREATE SCHEMA pipelines;

CREATE FUNCTION pipelines.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid;

CREATE PROCEDURE pipelines.isolate(IN name regclass)
    LANGUAGE plpgsql
    AS $$
begin
    execute format('alter table %s enable row level security', name);
    execute format('alter table %s force row level security', name);
    execute format(
        'create policy tenant_isolation on %s using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())',
        name
    );
end $$;

CREATE FUNCTION pipelines.purge_rows(name text, batch bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pipelines', 'pg_temp'
    AS $_$
declare
    gone bigint;
begin
    if not exists (select from purges where id = current_tenant()) then
        raise exception 'the tenant is not being purged';
    end if;
    execute format(
        'delete from %1$I where tenant_id = current_tenant()
            and ctid = any(array(select ctid from %1$I where tenant_id = current_tenant() limit $1))',
        name
    ) using batch;
    get diagnostics gone = row_count;
    return gone;
end $_$;

CREATE TABLE pipelines.field_trash (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    key text NOT NULL,
    field jsonb NOT NULL,
    version bigint NOT NULL,
    removed_at timestamp with time zone NOT NULL,
    removed_by uuid NOT NULL
);

ALTER TABLE ONLY pipelines.field_trash FORCE ROW LEVEL SECURITY;

CREATE TABLE pipelines.idempotency (
    tenant_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    request bytea NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    headers bytea NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY pipelines.idempotency FORCE ROW LEVEL SECURITY;

CREATE TABLE pipelines.inbox (
    tenant_id uuid NOT NULL,
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY pipelines.inbox FORCE ROW LEVEL SECURITY;

CREATE TABLE pipelines.outbox (
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subject text NOT NULL,
    payload text NOT NULL,
    traceparent text,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY pipelines.outbox FORCE ROW LEVEL SECURITY;

ALTER TABLE pipelines.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pipelines.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE pipelines.pipeline_versions (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    version bigint NOT NULL,
    definition jsonb NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    changed_by uuid NOT NULL
);

ALTER TABLE ONLY pipelines.pipeline_versions FORCE ROW LEVEL SECURITY;

CREATE TABLE pipelines.pipelines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    description text,
    icon text,
    color text,
    title_template text,
    fields jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by uuid NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    updated_by uuid NOT NULL,
    deleted_at timestamp with time zone,
    rules jsonb DEFAULT '[]'::jsonb NOT NULL,
    claims jsonb DEFAULT '{}'::jsonb NOT NULL,
    pending jsonb DEFAULT '[]'::jsonb NOT NULL,
    require_if_match boolean DEFAULT false NOT NULL
);

ALTER TABLE ONLY pipelines.pipelines FORCE ROW LEVEL SECURITY;

CREATE TABLE pipelines.purges (
    id uuid NOT NULL,
    begun_at timestamp with time zone DEFAULT now() NOT NULL,
    swept_at timestamp with time zone,
    done boolean DEFAULT false NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE pipelines.relationship_types (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    inverse_name text NOT NULL,
    source_pipeline uuid,
    target_pipeline uuid,
    cardinality text NOT NULL,
    on_delete text NOT NULL,
    implicit boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by uuid NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    updated_by uuid NOT NULL
);

ALTER TABLE ONLY pipelines.relationship_types FORCE ROW LEVEL SECURITY;

CREATE TABLE pipelines.role_grants (
    tenant_id uuid NOT NULL,
    role_id uuid NOT NULL,
    version bigint NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    grants jsonb NOT NULL
);

ALTER TABLE ONLY pipelines.role_grants FORCE ROW LEVEL SECURITY;

CREATE TABLE pipelines.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE pipelines.schema_plans (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    version bigint NOT NULL,
    evolution jsonb NOT NULL,
    changes jsonb NOT NULL,
    created_by uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY pipelines.schema_plans FORCE ROW LEVEL SECURITY;

CREATE TABLE pipelines.views (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    visibility text NOT NULL,
    owner_id uuid NOT NULL,
    filter jsonb,
    sort text,
    fields text[],
    group_by text,
    date_field text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    updated_by uuid NOT NULL
);

ALTER TABLE ONLY pipelines.views FORCE ROW LEVEL SECURITY;

ALTER TABLE ONLY pipelines.field_trash
    ADD CONSTRAINT field_trash_pkey PRIMARY KEY (tenant_id, pipeline_id, key);

ALTER TABLE ONLY pipelines.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (tenant_id, principal_id, request);

ALTER TABLE ONLY pipelines.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (tenant_id, consumer, event_id);

ALTER TABLE ONLY pipelines.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pipelines.pipeline_versions
    ADD CONSTRAINT pipeline_versions_pkey PRIMARY KEY (tenant_id, pipeline_id, version);

ALTER TABLE ONLY pipelines.pipelines
    ADD CONSTRAINT pipelines_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY pipelines.purges
    ADD CONSTRAINT purges_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pipelines.relationship_types
    ADD CONSTRAINT relationship_types_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY pipelines.relationship_types
    ADD CONSTRAINT relationship_types_tenant_id_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY pipelines.role_grants
    ADD CONSTRAINT role_grants_pkey PRIMARY KEY (tenant_id, role_id);

ALTER TABLE ONLY pipelines.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY pipelines.schema_plans
    ADD CONSTRAINT schema_plans_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY pipelines.views
    ADD CONSTRAINT views_pkey PRIMARY KEY (tenant_id, id);

CREATE INDEX idempotency_created_at ON pipelines.idempotency USING btree (created_at);

CREATE INDEX inbox_handled_at ON pipelines.inbox USING btree (tenant_id, handled_at);

CREATE UNIQUE INDEX pipelines_slug ON pipelines.pipelines USING btree (tenant_id, slug) WHERE (deleted_at IS NULL);

CREATE INDEX schema_plans_expiry ON pipelines.schema_plans USING btree (tenant_id, expires_at);

CREATE INDEX views_pipeline ON pipelines.views USING btree (tenant_id, pipeline_id, id);

ALTER TABLE ONLY pipelines.field_trash
    ADD CONSTRAINT field_trash_tenant_id_pipeline_id_fkey FOREIGN KEY (tenant_id, pipeline_id) REFERENCES pipelines.pipelines(tenant_id, id);

ALTER TABLE ONLY pipelines.pipeline_versions
    ADD CONSTRAINT pipeline_versions_tenant_id_pipeline_id_fkey FOREIGN KEY (tenant_id, pipeline_id) REFERENCES pipelines.pipelines(tenant_id, id);

ALTER TABLE ONLY pipelines.schema_plans
    ADD CONSTRAINT schema_plans_tenant_id_pipeline_id_fkey FOREIGN KEY (tenant_id, pipeline_id) REFERENCES pipelines.pipelines(tenant_id, id);

ALTER TABLE ONLY pipelines.views
    ADD CONSTRAINT views_tenant_id_pipeline_id_fkey FOREIGN KEY (tenant_id, pipeline_id) REFERENCES pipelines.pipelines(tenant_id, id);

ALTER TABLE pipelines.field_trash ENABLE ROW LEVEL SECURITY;

ALTER TABLE pipelines.idempotency ENABLE ROW LEVEL SECURITY;

CREATE POLICY idempotency_pruning ON pipelines.idempotency TO millrace_pipelines_relay USING ((created_at < (now() - '24:00:00'::interval)));

ALTER TABLE pipelines.inbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE pipelines.outbox ENABLE ROW LEVEL SECURITY;

CREATE POLICY outbox_insert ON pipelines.outbox FOR INSERT WITH CHECK ((tenant_id = pipelines.current_tenant()));

CREATE POLICY outbox_relay ON pipelines.outbox TO millrace_pipelines_relay USING (true);

ALTER TABLE pipelines.pipeline_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE pipelines.pipelines ENABLE ROW LEVEL SECURITY;

ALTER TABLE pipelines.relationship_types ENABLE ROW LEVEL SECURITY;

ALTER TABLE pipelines.role_grants ENABLE ROW LEVEL SECURITY;

ALTER TABLE pipelines.schema_plans ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON pipelines.field_trash USING ((tenant_id = pipelines.current_tenant())) WITH CHECK ((tenant_id = pipelines.current_tenant()));

CREATE POLICY tenant_isolation ON pipelines.idempotency USING ((tenant_id = pipelines.current_tenant())) WITH CHECK ((tenant_id = pipelines.current_tenant()));

CREATE POLICY tenant_isolation ON pipelines.inbox USING ((tenant_id = pipelines.current_tenant())) WITH CHECK ((tenant_id = pipelines.current_tenant()));

CREATE POLICY tenant_isolation ON pipelines.pipeline_versions USING ((tenant_id = pipelines.current_tenant())) WITH CHECK ((tenant_id = pipelines.current_tenant()));

CREATE POLICY tenant_isolation ON pipelines.pipelines USING ((tenant_id = pipelines.current_tenant())) WITH CHECK ((tenant_id = pipelines.current_tenant()));

CREATE POLICY tenant_isolation ON pipelines.relationship_types USING ((tenant_id = pipelines.current_tenant())) WITH CHECK ((tenant_id = pipelines.current_tenant()));

CREATE POLICY tenant_isolation ON pipelines.role_grants USING ((tenant_id = pipelines.current_tenant())) WITH CHECK ((tenant_id = pipelines.current_tenant()));

CREATE POLICY tenant_isolation ON pipelines.schema_plans USING ((tenant_id = pipelines.current_tenant())) WITH CHECK ((tenant_id = pipelines.current_tenant()));

CREATE POLICY tenant_isolation ON pipelines.views USING ((tenant_id = pipelines.current_tenant())) WITH CHECK ((tenant_id = pipelines.current_tenant()));

ALTER TABLE pipelines.views ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA pipelines TO millrace_pipelines;
GRANT USAGE ON SCHEMA pipelines TO millrace_pipelines_relay;

REVOKE ALL ON FUNCTION pipelines.purge_rows(name text, batch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION pipelines.purge_rows(name text, batch bigint) TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.field_trash TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.idempotency TO millrace_pipelines;
GRANT DELETE ON TABLE pipelines.idempotency TO millrace_pipelines_relay;

GRANT SELECT(tenant_id) ON TABLE pipelines.idempotency TO millrace_pipelines_relay;

GRANT SELECT(principal_id) ON TABLE pipelines.idempotency TO millrace_pipelines_relay;

GRANT SELECT(request) ON TABLE pipelines.idempotency TO millrace_pipelines_relay;

GRANT SELECT(created_at) ON TABLE pipelines.idempotency TO millrace_pipelines_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.inbox TO millrace_pipelines;

GRANT INSERT ON TABLE pipelines.outbox TO millrace_pipelines;
GRANT SELECT,DELETE ON TABLE pipelines.outbox TO millrace_pipelines_relay;

GRANT SELECT,USAGE ON SEQUENCE pipelines.outbox_id_seq TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.pipeline_versions TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.pipelines TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.purges TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.relationship_types TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.role_grants TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.schema_migrations TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.schema_plans TO millrace_pipelines;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE pipelines.views TO millrace_pipelines;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA pipelines GRANT SELECT,USAGE ON SEQUENCES TO millrace_pipelines;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA pipelines GRANT SELECT,INSERT,DELETE,UPDATE ON TABLES TO millrace_pipelines;

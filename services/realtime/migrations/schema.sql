-- What the migrations add up to, for reading. Written by `task schema`, checked by a test.

CREATE SCHEMA realtime;

CREATE FUNCTION realtime.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid;

CREATE PROCEDURE realtime.isolate(IN name regclass)
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

CREATE TABLE realtime.definitions (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    version bigint NOT NULL,
    definition jsonb NOT NULL
);

ALTER TABLE ONLY realtime.definitions FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.inbox (
    tenant_id uuid NOT NULL,
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY realtime.inbox FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.outbox (
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subject text NOT NULL,
    payload text NOT NULL,
    traceparent text,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY realtime.outbox FORCE ROW LEVEL SECURITY;

ALTER TABLE realtime.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME realtime.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE realtime.role_grants (
    tenant_id uuid NOT NULL,
    role_id uuid NOT NULL,
    version bigint NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    grants jsonb NOT NULL
);

ALTER TABLE ONLY realtime.role_grants FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY realtime.definitions
    ADD CONSTRAINT definitions_pkey PRIMARY KEY (tenant_id, pipeline_id);

ALTER TABLE ONLY realtime.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (tenant_id, consumer, event_id);

ALTER TABLE ONLY realtime.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY realtime.role_grants
    ADD CONSTRAINT role_grants_pkey PRIMARY KEY (tenant_id, role_id);

ALTER TABLE ONLY realtime.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

CREATE INDEX inbox_handled_at ON realtime.inbox USING btree (tenant_id, handled_at);

ALTER TABLE realtime.definitions ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.inbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.outbox ENABLE ROW LEVEL SECURITY;

CREATE POLICY outbox_insert ON realtime.outbox FOR INSERT WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY outbox_relay ON realtime.outbox TO millrace_realtime_relay USING (true);

ALTER TABLE realtime.role_grants ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON realtime.definitions USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.inbox USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.role_grants USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

GRANT USAGE ON SCHEMA realtime TO millrace_realtime;
GRANT USAGE ON SCHEMA realtime TO millrace_realtime_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.definitions TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.inbox TO millrace_realtime;

GRANT INSERT ON TABLE realtime.outbox TO millrace_realtime;
GRANT SELECT,DELETE ON TABLE realtime.outbox TO millrace_realtime_relay;

GRANT SELECT,USAGE ON SEQUENCE realtime.outbox_id_seq TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.role_grants TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.schema_migrations TO millrace_realtime;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA realtime GRANT SELECT,USAGE ON SEQUENCES TO millrace_realtime;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA realtime GRANT SELECT,INSERT,DELETE,UPDATE ON TABLES TO millrace_realtime;

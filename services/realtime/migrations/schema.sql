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

CREATE FUNCTION realtime.purge_rows(name text, batch bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'realtime', 'pg_temp'
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

CREATE TABLE realtime.attempts (
    tenant_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    status integer,
    error text,
    milliseconds integer NOT NULL,
    response text NOT NULL
);

ALTER TABLE ONLY realtime.attempts FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.definitions (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    version bigint NOT NULL,
    definition jsonb NOT NULL
);

ALTER TABLE ONLY realtime.definitions FORCE ROW LEVEL SECURITY;

CREATE SEQUENCE realtime.delivery_numbers
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE realtime.deliveries (
    tenant_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    event_id uuid NOT NULL,
    id uuid NOT NULL,
    number bigint DEFAULT nextval('realtime.delivery_numbers'::regclass) NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    record_id uuid,
    payload text NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    forced boolean DEFAULT false NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT 'infinity'::timestamp with time zone NOT NULL,
    last_status integer,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT deliveries_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'succeeded'::text, 'failed'::text, 'withheld'::text])))
);

ALTER TABLE ONLY realtime.deliveries FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.digests (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    next_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY realtime.digests FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.document_dues (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    field text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    next_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY realtime.document_dues FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.document_updates (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    field text NOT NULL,
    seq bigint NOT NULL,
    data bytea NOT NULL
);

ALTER TABLE ONLY realtime.document_updates FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.documents (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    field text NOT NULL,
    pipeline_id uuid NOT NULL,
    snapshot bytea NOT NULL,
    compacted bigint DEFAULT 1 NOT NULL,
    last bigint DEFAULT 1 NOT NULL,
    written bigint DEFAULT 1 NOT NULL,
    size bigint NOT NULL,
    merged bigint DEFAULT 0 NOT NULL,
    base bigint DEFAULT 1 NOT NULL,
    branch bytea,
    editor jsonb
);

ALTER TABLE ONLY realtime.documents FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.due (
    tenant_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    next_at timestamp with time zone DEFAULT 'infinity'::timestamp with time zone NOT NULL,
    lease uuid,
    leased_until timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    pending integer DEFAULT 0 NOT NULL,
    replay_after bigint,
    replay_to bigint
);

ALTER TABLE ONLY realtime.due FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.follows (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL,
    target_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    name text NOT NULL,
    filter jsonb,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT follows_kind_check CHECK ((kind = ANY (ARRAY['record'::text, 'view'::text])))
);

ALTER TABLE ONLY realtime.follows FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.inbox (
    tenant_id uuid NOT NULL,
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY realtime.inbox FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.notifications (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    pipeline_id uuid,
    record_id uuid,
    data jsonb NOT NULL,
    in_app boolean NOT NULL,
    mail text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    read_at timestamp with time zone,
    CONSTRAINT notifications_mail_check CHECK ((mail = ANY (ARRAY['none'::text, 'digest'::text, 'asked'::text])))
);

ALTER TABLE ONLY realtime.notifications FORCE ROW LEVEL SECURITY;

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

CREATE TABLE realtime.positions (
    name text NOT NULL,
    "position" bigint NOT NULL
);

CREATE TABLE realtime.preferences (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    kinds jsonb NOT NULL,
    time_zone text NOT NULL,
    digest_hour integer NOT NULL
);

ALTER TABLE ONLY realtime.preferences FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.purges (
    id uuid NOT NULL,
    begun_at timestamp with time zone DEFAULT now() NOT NULL,
    swept_at timestamp with time zone,
    done boolean DEFAULT false NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL
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

CREATE TABLE realtime.tenant_settings (
    tenant_id uuid NOT NULL,
    time_zone text NOT NULL,
    status text,
    addresses text[] DEFAULT '{}'::text[] NOT NULL
);

ALTER TABLE ONLY realtime.tenant_settings FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.users (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    roles uuid[] NOT NULL
);

ALTER TABLE ONLY realtime.users FORCE ROW LEVEL SECURITY;

CREATE TABLE realtime.webhooks (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    pipeline_id uuid,
    filter jsonb,
    description text NOT NULL,
    state text NOT NULL,
    reason text,
    owner_id uuid NOT NULL,
    secrets bytea NOT NULL,
    failing_since timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT webhooks_state_check CHECK ((state = ANY (ARRAY['active'::text, 'paused'::text, 'disabled'::text])))
);

ALTER TABLE ONLY realtime.webhooks FORCE ROW LEVEL SECURITY;

ALTER TABLE ONLY realtime.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (tenant_id, delivery_id, number);

ALTER TABLE ONLY realtime.definitions
    ADD CONSTRAINT definitions_pkey PRIMARY KEY (tenant_id, pipeline_id);

ALTER TABLE ONLY realtime.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (tenant_id, webhook_id, event_id);

ALTER TABLE ONLY realtime.digests
    ADD CONSTRAINT digests_pkey PRIMARY KEY (tenant_id, user_id);

ALTER TABLE ONLY realtime.document_dues
    ADD CONSTRAINT document_dues_pkey PRIMARY KEY (tenant_id, record_id, field);

ALTER TABLE ONLY realtime.document_updates
    ADD CONSTRAINT document_updates_pkey PRIMARY KEY (tenant_id, record_id, field, seq);

ALTER TABLE ONLY realtime.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (tenant_id, record_id, field);

ALTER TABLE ONLY realtime.due
    ADD CONSTRAINT due_pkey PRIMARY KEY (tenant_id, webhook_id);

ALTER TABLE ONLY realtime.follows
    ADD CONSTRAINT follows_pkey PRIMARY KEY (tenant_id, user_id, kind, target_id);

ALTER TABLE ONLY realtime.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (tenant_id, consumer, event_id);

ALTER TABLE ONLY realtime.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (tenant_id, user_id, id);

ALTER TABLE ONLY realtime.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY realtime.positions
    ADD CONSTRAINT positions_pkey PRIMARY KEY (name);

ALTER TABLE ONLY realtime.preferences
    ADD CONSTRAINT preferences_pkey PRIMARY KEY (tenant_id, user_id);

ALTER TABLE ONLY realtime.purges
    ADD CONSTRAINT purges_pkey PRIMARY KEY (id);

ALTER TABLE ONLY realtime.role_grants
    ADD CONSTRAINT role_grants_pkey PRIMARY KEY (tenant_id, role_id);

ALTER TABLE ONLY realtime.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY realtime.tenant_settings
    ADD CONSTRAINT tenant_settings_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY realtime.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY realtime.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (tenant_id, id);

CREATE INDEX deliveries_finished ON realtime.deliveries USING btree (tenant_id, webhook_id, finished_at) WHERE (state <> 'pending'::text);

CREATE UNIQUE INDEX deliveries_id ON realtime.deliveries USING btree (tenant_id, id);

CREATE INDEX deliveries_listed ON realtime.deliveries USING btree (tenant_id, webhook_id, id);

CREATE INDEX deliveries_ready ON realtime.deliveries USING btree (tenant_id, webhook_id, next_at, number) WHERE (state = 'pending'::text);

CREATE INDEX deliveries_record ON realtime.deliveries USING btree (tenant_id, webhook_id, record_id, number) WHERE (state = 'pending'::text);

CREATE INDEX deliveries_sent ON realtime.deliveries USING btree (tenant_id, record_id) WHERE (state <> 'pending'::text);

CREATE INDEX digests_next_at ON realtime.digests USING btree (next_at);

CREATE INDEX document_dues_next ON realtime.document_dues USING btree (next_at);

CREATE INDEX due_next_at ON realtime.due USING btree (next_at);

CREATE INDEX follows_pipeline ON realtime.follows USING btree (tenant_id, pipeline_id);

CREATE INDEX follows_target ON realtime.follows USING btree (tenant_id, kind, target_id);

CREATE INDEX inbox_handled_at ON realtime.inbox USING btree (tenant_id, handled_at);

CREATE INDEX notifications_digest ON realtime.notifications USING btree (tenant_id, user_id, id) WHERE (mail = 'digest'::text);

CREATE UNIQUE INDEX notifications_event ON realtime.notifications USING btree (tenant_id, user_id, event_id, kind);

CREATE INDEX notifications_record ON realtime.notifications USING btree (tenant_id, record_id) WHERE (record_id IS NOT NULL);

CREATE INDEX notifications_unread ON realtime.notifications USING btree (tenant_id, user_id, id) WHERE (in_app AND (read_at IS NULL));

CREATE INDEX webhooks_owner ON realtime.webhooks USING btree (tenant_id, owner_id);

ALTER TABLE ONLY realtime.attempts
    ADD CONSTRAINT attempts_tenant_id_delivery_id_fkey FOREIGN KEY (tenant_id, delivery_id) REFERENCES realtime.deliveries(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY realtime.deliveries
    ADD CONSTRAINT deliveries_tenant_id_webhook_id_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES realtime.webhooks(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY realtime.document_dues
    ADD CONSTRAINT document_dues_tenant_id_record_id_field_fkey FOREIGN KEY (tenant_id, record_id, field) REFERENCES realtime.documents(tenant_id, record_id, field) ON DELETE CASCADE;

ALTER TABLE ONLY realtime.document_updates
    ADD CONSTRAINT document_updates_tenant_id_record_id_field_fkey FOREIGN KEY (tenant_id, record_id, field) REFERENCES realtime.documents(tenant_id, record_id, field) ON DELETE CASCADE;

ALTER TABLE ONLY realtime.due
    ADD CONSTRAINT due_tenant_id_webhook_id_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES realtime.webhooks(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE realtime.attempts ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.definitions ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.deliveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.digests ENABLE ROW LEVEL SECURITY;

CREATE POLICY digests_relay ON realtime.digests TO millrace_realtime_relay USING (true);

ALTER TABLE realtime.document_dues ENABLE ROW LEVEL SECURITY;

CREATE POLICY document_dues_relay ON realtime.document_dues TO millrace_realtime_relay USING (true);

ALTER TABLE realtime.document_updates ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.documents ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.due ENABLE ROW LEVEL SECURITY;

CREATE POLICY due_relay ON realtime.due TO millrace_realtime_relay USING (true);

ALTER TABLE realtime.follows ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.inbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.notifications ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.outbox ENABLE ROW LEVEL SECURITY;

CREATE POLICY outbox_insert ON realtime.outbox FOR INSERT WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY outbox_relay ON realtime.outbox TO millrace_realtime_relay USING (true);

ALTER TABLE realtime.preferences ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.role_grants ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON realtime.attempts USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.definitions USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.deliveries USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.digests USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.document_dues USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.document_updates USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.documents USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.due USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.follows USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.inbox USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.notifications USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.preferences USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.role_grants USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.tenant_settings USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.users USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

CREATE POLICY tenant_isolation ON realtime.webhooks USING ((tenant_id = realtime.current_tenant())) WITH CHECK ((tenant_id = realtime.current_tenant()));

ALTER TABLE realtime.tenant_settings ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.users ENABLE ROW LEVEL SECURITY;

ALTER TABLE realtime.webhooks ENABLE ROW LEVEL SECURITY;

CREATE POLICY webhooks_resealing ON realtime.webhooks TO millrace_realtime_relay USING (true);

GRANT USAGE ON SCHEMA realtime TO millrace_realtime;
GRANT USAGE ON SCHEMA realtime TO millrace_realtime_relay;

REVOKE ALL ON FUNCTION realtime.purge_rows(name text, batch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION realtime.purge_rows(name text, batch bigint) TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.attempts TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.definitions TO millrace_realtime;

GRANT SELECT,USAGE ON SEQUENCE realtime.delivery_numbers TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.deliveries TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.digests TO millrace_realtime;
GRANT SELECT,UPDATE ON TABLE realtime.digests TO millrace_realtime_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.document_dues TO millrace_realtime;
GRANT SELECT,UPDATE ON TABLE realtime.document_dues TO millrace_realtime_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.document_updates TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.documents TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.due TO millrace_realtime;
GRANT SELECT,UPDATE ON TABLE realtime.due TO millrace_realtime_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.follows TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.inbox TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.notifications TO millrace_realtime;

GRANT INSERT ON TABLE realtime.outbox TO millrace_realtime;
GRANT SELECT,DELETE ON TABLE realtime.outbox TO millrace_realtime_relay;

GRANT SELECT,USAGE ON SEQUENCE realtime.outbox_id_seq TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.positions TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.preferences TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.purges TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.role_grants TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.schema_migrations TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.tenant_settings TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.users TO millrace_realtime;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE realtime.webhooks TO millrace_realtime;

GRANT SELECT(tenant_id) ON TABLE realtime.webhooks TO millrace_realtime_relay;

GRANT SELECT(id) ON TABLE realtime.webhooks TO millrace_realtime_relay;

GRANT SELECT(secrets),UPDATE(secrets) ON TABLE realtime.webhooks TO millrace_realtime_relay;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA realtime GRANT SELECT,USAGE ON SEQUENCES TO millrace_realtime;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA realtime GRANT SELECT,INSERT,DELETE,UPDATE ON TABLES TO millrace_realtime;

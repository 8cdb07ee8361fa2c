-- What the migrations add up to, for reading. Written by `task schema`, checked by a test.

CREATE SCHEMA auth;

CREATE FUNCTION auth.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid;

CREATE PROCEDURE auth.isolate(IN name regclass)
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

CREATE FUNCTION auth.purge_rows(name text, batch bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'auth', 'pg_temp'
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

CREATE TABLE auth.api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    prefix text NOT NULL,
    roles uuid[] NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    last_used_address text,
    CONSTRAINT api_keys_kind_check CHECK ((kind = ANY (ARRAY['api_key'::text, 'device'::text])))
);

ALTER TABLE ONLY auth.api_keys FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.audit_heads (
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL
);

ALTER TABLE ONLY auth.audit_heads FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.audit_log (
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    action text NOT NULL,
    actor_id uuid,
    target_id uuid,
    document text NOT NULL,
    hash bytea NOT NULL
);

ALTER TABLE ONLY auth.audit_log FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.audit_salts (
    tenant_id uuid NOT NULL,
    person_id uuid NOT NULL,
    salt bytea
);

ALTER TABLE ONLY auth.audit_salts FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.compliance_jobs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    user_id uuid,
    email text,
    requested_by uuid NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    source text NOT NULL,
    cursor text,
    next_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    summary jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT compliance_jobs_kind_check CHECK ((kind = ANY (ARRAY['export'::text, 'erasure'::text]))),
    CONSTRAINT compliance_jobs_state_check CHECK ((state = ANY (ARRAY['running'::text, 'done'::text])))
);

ALTER TABLE ONLY auth.compliance_jobs FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.compliance_parts (
    tenant_id uuid NOT NULL,
    job_id uuid NOT NULL,
    number integer NOT NULL,
    source text NOT NULL,
    document bytea NOT NULL
);

ALTER TABLE ONLY auth.compliance_parts FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.deletions (
    id uuid NOT NULL,
    slug text NOT NULL,
    resumes text NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    announced_at timestamp with time zone,
    finished_at timestamp with time zone,
    reports jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE auth.domain_claims (
    tenant_id uuid NOT NULL,
    host text NOT NULL,
    token text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.domain_claims FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.domains (
    tenant_id uuid NOT NULL,
    host text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY auth.domains FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.external_identities (
    tenant_id uuid NOT NULL,
    provider_id uuid NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.external_identities FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.idempotency (
    tenant_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    request bytea NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    headers bytea NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY auth.idempotency FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.identity_providers (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    enabled boolean NOT NULL,
    configuration jsonb NOT NULL,
    client_secret bytea,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.identity_providers FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.inbox (
    tenant_id uuid NOT NULL,
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY auth.inbox FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.mailed_tokens (
    tenant_id uuid NOT NULL,
    hash bytea NOT NULL,
    purpose text NOT NULL,
    user_id uuid NOT NULL,
    email text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT mailed_tokens_purpose_check CHECK ((purpose = ANY (ARRAY['invitation'::text, 'password_reset'::text, 'email_verification'::text])))
);

ALTER TABLE ONLY auth.mailed_tokens FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.mails (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    message bytea NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY auth.mails FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.mfa_challenges (
    tenant_id uuid NOT NULL,
    hash bytea NOT NULL,
    user_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.mfa_challenges FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.older_keys (
    id uuid NOT NULL,
    purpose text NOT NULL,
    secret bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE auth.outbox (
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subject text NOT NULL,
    payload text NOT NULL,
    traceparent text,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY auth.outbox FORCE ROW LEVEL SECURITY;

ALTER TABLE auth.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME auth.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE auth.passkey_challenges (
    tenant_id uuid NOT NULL,
    hash bytea NOT NULL,
    user_id uuid,
    challenge bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.passkey_challenges FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.passkeys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    rp_id text NOT NULL,
    credential_id bytea NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    synced boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone
);

ALTER TABLE ONLY auth.passkeys FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.purges (
    id uuid NOT NULL,
    begun_at timestamp with time zone DEFAULT now() NOT NULL,
    swept_at timestamp with time zone,
    done boolean DEFAULT false NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE auth.recovery_codes (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    hash bytea NOT NULL
);

ALTER TABLE ONLY auth.recovery_codes FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.refresh_tokens (
    tenant_id uuid NOT NULL,
    hash bytea NOT NULL,
    session_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);

ALTER TABLE ONLY auth.refresh_tokens FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.role_grants (
    tenant_id uuid NOT NULL,
    role_id uuid NOT NULL,
    version bigint NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    grants jsonb NOT NULL
);

ALTER TABLE ONLY auth.role_grants FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.role_members (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role_id uuid NOT NULL
);

ALTER TABLE ONLY auth.role_members FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.roles (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    seeded boolean DEFAULT false NOT NULL,
    inherits uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    grants jsonb DEFAULT '[]'::jsonb NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    external_id text
);

ALTER TABLE ONLY auth.roles FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.saml_assertions (
    tenant_id uuid NOT NULL,
    provider_id uuid NOT NULL,
    hash bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.saml_assertions FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE auth.sessions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    user_agent text,
    address text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    mfa boolean DEFAULT false NOT NULL,
    actor_id uuid,
    actor_name text,
    reason text
);

ALTER TABLE ONLY auth.sessions FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.signing_keys (
    kid text NOT NULL,
    state text NOT NULL,
    public_key bytea NOT NULL,
    private_key bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    retired_at timestamp with time zone,
    CONSTRAINT signing_keys_check CHECK (((state = 'retired'::text) = (retired_at IS NOT NULL))),
    CONSTRAINT signing_keys_check1 CHECK (((state = 'retired'::text) = (private_key IS NULL))),
    CONSTRAINT signing_keys_state_check CHECK ((state = ANY (ARRAY['next'::text, 'active'::text, 'retired'::text])))
);

CREATE TABLE auth.sso_arrivals (
    tenant_id uuid NOT NULL,
    hash bytea NOT NULL,
    browser bytea NOT NULL,
    user_id uuid NOT NULL,
    mfa boolean NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.sso_arrivals FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.sso_flows (
    tenant_id uuid NOT NULL,
    hash bytea NOT NULL,
    browser bytea NOT NULL,
    provider_id uuid NOT NULL,
    nonce text NOT NULL,
    verifier text NOT NULL,
    redirect_uri text NOT NULL,
    return_to text,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY auth.sso_flows FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.tenants (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    locale text DEFAULT 'en'::text NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    branding jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    security jsonb DEFAULT '{}'::jsonb NOT NULL,
    limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT tenants_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'deleting'::text, 'purging'::text])))
);

ALTER TABLE ONLY auth.tenants FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.totp_secrets (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    secret bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    confirmed_at timestamp with time zone,
    last_step bigint DEFAULT 0 NOT NULL
);

ALTER TABLE ONLY auth.totp_secrets FORCE ROW LEVEL SECURITY;

CREATE TABLE auth.users (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    locale text NOT NULL,
    status text NOT NULL,
    password_hash text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    email_verified_at timestamp with time zone,
    external_id text,
    CONSTRAINT users_status_check CHECK ((status = ANY (ARRAY['active'::text, 'invited'::text, 'deactivated'::text])))
);

ALTER TABLE ONLY auth.users FORCE ROW LEVEL SECURITY;

ALTER TABLE ONLY auth.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY auth.api_keys
    ADD CONSTRAINT api_keys_tenant_id_hash_key UNIQUE (tenant_id, hash);

ALTER TABLE ONLY auth.audit_heads
    ADD CONSTRAINT audit_heads_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY auth.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (tenant_id, seq);

ALTER TABLE ONLY auth.audit_salts
    ADD CONSTRAINT audit_salts_pkey PRIMARY KEY (tenant_id, person_id);

ALTER TABLE ONLY auth.compliance_jobs
    ADD CONSTRAINT compliance_jobs_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY auth.compliance_parts
    ADD CONSTRAINT compliance_parts_pkey PRIMARY KEY (tenant_id, job_id, number);

ALTER TABLE ONLY auth.deletions
    ADD CONSTRAINT deletions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.domain_claims
    ADD CONSTRAINT domain_claims_pkey PRIMARY KEY (tenant_id, host);

ALTER TABLE ONLY auth.domains
    ADD CONSTRAINT domains_pkey PRIMARY KEY (host);

ALTER TABLE ONLY auth.external_identities
    ADD CONSTRAINT external_identities_pkey PRIMARY KEY (tenant_id, provider_id, subject);

ALTER TABLE ONLY auth.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (tenant_id, principal_id, request);

ALTER TABLE ONLY auth.identity_providers
    ADD CONSTRAINT identity_providers_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY auth.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (tenant_id, consumer, event_id);

ALTER TABLE ONLY auth.mailed_tokens
    ADD CONSTRAINT mailed_tokens_pkey PRIMARY KEY (tenant_id, hash);

ALTER TABLE ONLY auth.mails
    ADD CONSTRAINT mails_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY auth.mfa_challenges
    ADD CONSTRAINT mfa_challenges_pkey PRIMARY KEY (tenant_id, hash);

ALTER TABLE ONLY auth.older_keys
    ADD CONSTRAINT older_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.passkey_challenges
    ADD CONSTRAINT passkey_challenges_pkey PRIMARY KEY (tenant_id, hash);

ALTER TABLE ONLY auth.passkeys
    ADD CONSTRAINT passkeys_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY auth.passkeys
    ADD CONSTRAINT passkeys_tenant_id_credential_id_key UNIQUE (tenant_id, credential_id);

ALTER TABLE ONLY auth.purges
    ADD CONSTRAINT purges_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.recovery_codes
    ADD CONSTRAINT recovery_codes_pkey PRIMARY KEY (tenant_id, user_id, hash);

ALTER TABLE ONLY auth.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (tenant_id, hash);

ALTER TABLE ONLY auth.role_grants
    ADD CONSTRAINT role_grants_pkey PRIMARY KEY (tenant_id, role_id);

ALTER TABLE ONLY auth.role_members
    ADD CONSTRAINT role_members_pkey PRIMARY KEY (tenant_id, user_id, role_id);

ALTER TABLE ONLY auth.roles
    ADD CONSTRAINT roles_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY auth.roles
    ADD CONSTRAINT roles_tenant_id_slug_key UNIQUE (tenant_id, slug);

ALTER TABLE ONLY auth.saml_assertions
    ADD CONSTRAINT saml_assertions_pkey PRIMARY KEY (tenant_id, provider_id, hash);

ALTER TABLE ONLY auth.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY auth.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY auth.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (kid);

ALTER TABLE ONLY auth.sso_arrivals
    ADD CONSTRAINT sso_arrivals_pkey PRIMARY KEY (tenant_id, hash);

ALTER TABLE ONLY auth.sso_flows
    ADD CONSTRAINT sso_flows_pkey PRIMARY KEY (tenant_id, hash);

ALTER TABLE ONLY auth.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY auth.tenants
    ADD CONSTRAINT tenants_slug_key UNIQUE (slug);

ALTER TABLE ONLY auth.totp_secrets
    ADD CONSTRAINT totp_secrets_pkey PRIMARY KEY (tenant_id, user_id);

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_tenant_id_email_key UNIQUE (tenant_id, email);

CREATE INDEX api_keys_created_by ON auth.api_keys USING btree (tenant_id, created_by, id);

CREATE INDEX audit_log_action ON auth.audit_log USING btree (tenant_id, action, seq);

CREATE INDEX audit_log_actor ON auth.audit_log USING btree (tenant_id, actor_id, seq);

CREATE INDEX audit_log_target ON auth.audit_log USING btree (tenant_id, target_id, seq);

CREATE INDEX compliance_jobs_open ON auth.compliance_jobs USING btree (next_at) WHERE (state = 'running'::text);

CREATE INDEX deletions_open ON auth.deletions USING btree (due_at) WHERE (finished_at IS NULL);

CREATE INDEX deletions_slug ON auth.deletions USING btree (slug, requested_at);

CREATE INDEX domains_tenant ON auth.domains USING btree (tenant_id);

CREATE INDEX external_identities_user ON auth.external_identities USING btree (tenant_id, user_id);

CREATE INDEX idempotency_created_at ON auth.idempotency USING btree (created_at);

CREATE INDEX inbox_handled_at ON auth.inbox USING btree (tenant_id, handled_at);

CREATE INDEX mailed_tokens_user ON auth.mailed_tokens USING btree (tenant_id, user_id, purpose);

CREATE INDEX mails_next_at ON auth.mails USING btree (next_at);

CREATE INDEX mfa_challenges_user ON auth.mfa_challenges USING btree (tenant_id, user_id);

CREATE INDEX passkey_challenges_expires_at ON auth.passkey_challenges USING btree (tenant_id, expires_at);

CREATE INDEX passkeys_user ON auth.passkeys USING btree (tenant_id, user_id, id);

CREATE INDEX refresh_tokens_session ON auth.refresh_tokens USING btree (tenant_id, session_id);

CREATE INDEX role_members_role ON auth.role_members USING btree (tenant_id, role_id);

CREATE INDEX saml_assertions_expires_at ON auth.saml_assertions USING btree (tenant_id, expires_at);

CREATE INDEX sessions_actor ON auth.sessions USING btree (tenant_id, actor_id) WHERE (actor_id IS NOT NULL);

CREATE INDEX sessions_user ON auth.sessions USING btree (tenant_id, user_id, id);

CREATE UNIQUE INDEX signing_keys_state ON auth.signing_keys USING btree (state) WHERE (state <> 'retired'::text);

CREATE INDEX sso_arrivals_expires_at ON auth.sso_arrivals USING btree (tenant_id, expires_at);

CREATE INDEX sso_flows_expires_at ON auth.sso_flows USING btree (tenant_id, expires_at);

CREATE INDEX users_external_id ON auth.users USING btree (tenant_id, external_id) WHERE (external_id IS NOT NULL);

ALTER TABLE ONLY auth.api_keys
    ADD CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.compliance_parts
    ADD CONSTRAINT compliance_parts_tenant_id_job_id_fkey FOREIGN KEY (tenant_id, job_id) REFERENCES auth.compliance_jobs(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.domain_claims
    ADD CONSTRAINT domain_claims_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.domains
    ADD CONSTRAINT domains_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.external_identities
    ADD CONSTRAINT external_identities_tenant_id_provider_id_fkey FOREIGN KEY (tenant_id, provider_id) REFERENCES auth.identity_providers(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.external_identities
    ADD CONSTRAINT external_identities_tenant_id_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.identity_providers
    ADD CONSTRAINT identity_providers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.mailed_tokens
    ADD CONSTRAINT mailed_tokens_tenant_id_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.mfa_challenges
    ADD CONSTRAINT mfa_challenges_tenant_id_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.passkey_challenges
    ADD CONSTRAINT passkey_challenges_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.passkeys
    ADD CONSTRAINT passkeys_tenant_id_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.recovery_codes
    ADD CONSTRAINT recovery_codes_tenant_id_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.refresh_tokens
    ADD CONSTRAINT refresh_tokens_tenant_id_session_id_fkey FOREIGN KEY (tenant_id, session_id) REFERENCES auth.sessions(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.role_members
    ADD CONSTRAINT role_members_tenant_id_role_id_fkey FOREIGN KEY (tenant_id, role_id) REFERENCES auth.roles(tenant_id, id);

ALTER TABLE ONLY auth.role_members
    ADD CONSTRAINT role_members_tenant_id_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.roles
    ADD CONSTRAINT roles_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.saml_assertions
    ADD CONSTRAINT saml_assertions_tenant_id_provider_id_fkey FOREIGN KEY (tenant_id, provider_id) REFERENCES auth.identity_providers(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.sessions
    ADD CONSTRAINT sessions_tenant_id_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.sso_arrivals
    ADD CONSTRAINT sso_arrivals_tenant_id_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.sso_flows
    ADD CONSTRAINT sso_flows_tenant_id_provider_id_fkey FOREIGN KEY (tenant_id, provider_id) REFERENCES auth.identity_providers(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.totp_secrets
    ADD CONSTRAINT totp_secrets_tenant_id_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES auth.users(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES auth.tenants(id) ON DELETE CASCADE;

ALTER TABLE auth.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.audit_heads ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.audit_log ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.audit_salts ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.compliance_jobs ENABLE ROW LEVEL SECURITY;

CREATE POLICY compliance_jobs_relay ON auth.compliance_jobs FOR SELECT TO millrace_auth_relay USING (true);

ALTER TABLE auth.compliance_parts ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.domain_claims ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.domains ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.external_identities ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.idempotency ENABLE ROW LEVEL SECURITY;

CREATE POLICY idempotency_pruning ON auth.idempotency TO millrace_auth_relay USING ((created_at < (now() - '24:00:00'::interval)));

ALTER TABLE auth.identity_providers ENABLE ROW LEVEL SECURITY;

CREATE POLICY identity_providers_resealing ON auth.identity_providers TO millrace_auth_relay USING (true);

ALTER TABLE auth.inbox ENABLE ROW LEVEL SECURITY;

CREATE POLICY lookup ON auth.domains FOR SELECT USING ((host = current_setting('app.lookup'::text, true)));

CREATE POLICY lookup ON auth.tenants FOR SELECT USING ((slug = current_setting('app.lookup'::text, true)));

ALTER TABLE auth.mailed_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.mails ENABLE ROW LEVEL SECURITY;

CREATE POLICY mails_relay ON auth.mails TO millrace_auth_relay USING (true);

ALTER TABLE auth.mfa_challenges ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.outbox ENABLE ROW LEVEL SECURITY;

CREATE POLICY outbox_insert ON auth.outbox FOR INSERT WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY outbox_relay ON auth.outbox TO millrace_auth_relay USING (true);

ALTER TABLE auth.passkey_challenges ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.passkeys ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.recovery_codes ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.refresh_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.role_grants ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.role_members ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.roles ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.saml_assertions ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.sessions ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.sso_arrivals ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.sso_flows ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON auth.api_keys USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.audit_heads USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.audit_log USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.audit_salts USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.compliance_jobs USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.compliance_parts USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.domain_claims USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.domains USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.external_identities USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.idempotency USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.identity_providers USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.inbox USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.mailed_tokens USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.mails USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.mfa_challenges USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.passkey_challenges USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.passkeys USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.recovery_codes USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.refresh_tokens USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.role_grants USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.role_members USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.roles USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.saml_assertions USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.sessions USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.sso_arrivals USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.sso_flows USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.tenants USING ((id = auth.current_tenant())) WITH CHECK ((id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.totp_secrets USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

CREATE POLICY tenant_isolation ON auth.users USING ((tenant_id = auth.current_tenant())) WITH CHECK ((tenant_id = auth.current_tenant()));

ALTER TABLE auth.tenants ENABLE ROW LEVEL SECURITY;

ALTER TABLE auth.totp_secrets ENABLE ROW LEVEL SECURITY;

CREATE POLICY totp_secrets_resealing ON auth.totp_secrets TO millrace_auth_relay USING (true);

ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA auth TO millrace_auth;
GRANT USAGE ON SCHEMA auth TO millrace_auth_relay;

REVOKE ALL ON FUNCTION auth.purge_rows(name text, batch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION auth.purge_rows(name text, batch bigint) TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.api_keys TO millrace_auth;

GRANT SELECT,INSERT,UPDATE ON TABLE auth.audit_heads TO millrace_auth;

GRANT SELECT,INSERT ON TABLE auth.audit_log TO millrace_auth;

GRANT SELECT,INSERT,UPDATE ON TABLE auth.audit_salts TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.compliance_jobs TO millrace_auth;
GRANT SELECT ON TABLE auth.compliance_jobs TO millrace_auth_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.compliance_parts TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.deletions TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.domain_claims TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.domains TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.external_identities TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.idempotency TO millrace_auth;
GRANT DELETE ON TABLE auth.idempotency TO millrace_auth_relay;

GRANT SELECT(tenant_id) ON TABLE auth.idempotency TO millrace_auth_relay;

GRANT SELECT(principal_id) ON TABLE auth.idempotency TO millrace_auth_relay;

GRANT SELECT(request) ON TABLE auth.idempotency TO millrace_auth_relay;

GRANT SELECT(created_at) ON TABLE auth.idempotency TO millrace_auth_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.identity_providers TO millrace_auth;

GRANT SELECT(tenant_id) ON TABLE auth.identity_providers TO millrace_auth_relay;

GRANT SELECT(id) ON TABLE auth.identity_providers TO millrace_auth_relay;

GRANT SELECT(client_secret),UPDATE(client_secret) ON TABLE auth.identity_providers TO millrace_auth_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.inbox TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.mailed_tokens TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.mails TO millrace_auth;
GRANT SELECT,DELETE,UPDATE ON TABLE auth.mails TO millrace_auth_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.mfa_challenges TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.older_keys TO millrace_auth;

GRANT INSERT ON TABLE auth.outbox TO millrace_auth;
GRANT SELECT,DELETE ON TABLE auth.outbox TO millrace_auth_relay;

GRANT SELECT,USAGE ON SEQUENCE auth.outbox_id_seq TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.passkey_challenges TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.passkeys TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.purges TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.recovery_codes TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.refresh_tokens TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.role_grants TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.role_members TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.roles TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.saml_assertions TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.schema_migrations TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.sessions TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.signing_keys TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.sso_arrivals TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.sso_flows TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.tenants TO millrace_auth;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.totp_secrets TO millrace_auth;

GRANT SELECT(tenant_id) ON TABLE auth.totp_secrets TO millrace_auth_relay;

GRANT SELECT(user_id) ON TABLE auth.totp_secrets TO millrace_auth_relay;

GRANT SELECT(secret),UPDATE(secret) ON TABLE auth.totp_secrets TO millrace_auth_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE auth.users TO millrace_auth;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA auth GRANT SELECT,USAGE ON SEQUENCES TO millrace_auth;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA auth GRANT SELECT,INSERT,DELETE,UPDATE ON TABLES TO millrace_auth;

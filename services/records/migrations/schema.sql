-- What the migrations add up to, for reading. Written by `task schema`, checked by a test.

CREATE SCHEMA records;

CREATE FUNCTION records.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid;

CREATE FUNCTION records.hold_definition(tenant uuid, pipeline uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
begin
    perform pg_advisory_xact_lock_shared(hashtextextended(tenant::text || pipeline::text, 11));
    return (select version from pipelines where tenant_id = tenant and id = pipeline);
end $$;

CREATE FUNCTION records.hold_pipeline(tenant uuid, pipeline uuid, OUT version bigint, OUT followers bigint, OUT pending integer) RETURNS record
    LANGUAGE plpgsql
    AS $$
begin
    perform pg_advisory_xact_lock_shared(hashtextextended(tenant::text || pipeline::text, 11));
    select p.version, p.followers, coalesce(jsonb_array_length(p.definition->'pending'), 0)
    into version, followers, pending from pipelines p where p.tenant_id = tenant and p.id = pipeline;
end $$;

CREATE PROCEDURE records.isolate(IN name regclass)
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

CREATE FUNCTION records.match_changed() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'records', 'extensions'
    AS $$
declare
    before text[] := array(select field || E'\t' || key from match_keys_of(old.title, old.data) order by 1);
    after text[] := array(select field || E'\t' || key from match_keys_of(new.title, new.data) order by 1);
begin
    if before is distinct from after then
        delete from match_keys where tenant_id = new.tenant_id and record_id = new.id;
        insert into match_keys (tenant_id, pipeline_id, field, key, record_id)
        select new.tenant_id, new.pipeline_id, found.field, found.key, new.id
        from match_keys_of(new.title, new.data) found
        on conflict do nothing;
    end if;
    return null;
end $$;

CREATE FUNCTION records.match_gone() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'records', 'extensions'
    AS $$
begin
    delete from match_keys k using gone where k.tenant_id = gone.tenant_id and k.record_id = gone.id;
    return null;
end $$;

CREATE FUNCTION records.match_keys_of(title text, data jsonb) RETURNS TABLE(field text, key text)
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $_$
    select '', left(regexp_replace(lower(unaccent(title)), '[^[:alnum:]]+', ' ', 'g'), 200)
    where title ~ '[[:alnum:]].*[[:alnum:]]'
    union all
    select each.key, left(lower(each.value), 200) from jsonb_each_text(data) as each(key, value)
    where (each.value like '+%' or each.value like '_%@_%') and jsonb_typeof(data->each.key) = 'string'
        and position('@' in each.value) <= 65
        and each.value ~ '^(\+[0-9]{6,15}|[^[:space:]@]+@[^[:space:]@]+\.[^[:space:]@.]+)$'
$_$;

CREATE FUNCTION records.match_made() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'records', 'extensions'
    AS $$
begin
    insert into match_keys (tenant_id, pipeline_id, field, key, record_id)
    select made.tenant_id, made.pipeline_id, found.field, found.key, made.id
    from made cross join lateral match_keys_of(made.title, made.data) found;
    return null;
end $$;

CREATE FUNCTION records.purge_rows(name text, batch bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'records', 'pg_temp'
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

CREATE FUNCTION records.tally_changed() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'records', 'extensions'
    AS $$
begin
    insert into tally_deltas (tenant_id, pipeline_id, kind, field, value, day, amount)
    select t.tenant_id, t.pipeline_id, t.kind, t.field, t.value, t.day, sum(t.amount)
    from (
        select r.tenant_id, r.pipeline_id, of.*
        from before r join tally_fields f on f.tenant_id = r.tenant_id and f.pipeline_id = r.pipeline_id
        cross join lateral tally_of(f.field, r.data, r.created_at, r.deleted_at, -1) of
        union all
        select r.tenant_id, r.pipeline_id, of.*
        from after r join tally_fields f on f.tenant_id = r.tenant_id and f.pipeline_id = r.pipeline_id
        cross join lateral tally_of(f.field, r.data, r.created_at, r.deleted_at, 1) of
        union all
        select r.tenant_id, r.pipeline_id, case when f.field = '' then 'did' else 'entered' end,
            case
                when f.field <> '' then f.field
                when o.deleted_at is null and r.deleted_at is not null then 'deleted'
                when o.deleted_at is not null and r.deleted_at is null then 'restored'
                else 'updated'
            end,
            case when f.field = '' then r.updated_by::text else r.data->>f.field end,
            (r.updated_at at time zone 'UTC')::date, 1
        from after r
        join before o on o.tenant_id = r.tenant_id and o.id = r.id
        join tally_fields f on f.tenant_id = r.tenant_id and f.pipeline_id = r.pipeline_id
        where r.version > o.version
            and (f.field = '' or (r.data->>f.field is not null and r.data->>f.field is distinct from o.data->>f.field))
    ) t
    group by 1, 2, 3, 4, 5, 6 having sum(t.amount) <> 0;
    return null;
end $$;

CREATE FUNCTION records.tally_gone() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'records', 'extensions'
    AS $$
begin
    insert into tally_deltas (tenant_id, pipeline_id, kind, field, value, day, amount)
    select r.tenant_id, r.pipeline_id, of.kind, of.field, of.value, of.day, sum(of.amount)
    from gone r join tally_fields f on f.tenant_id = r.tenant_id and f.pipeline_id = r.pipeline_id
    cross join lateral tally_of(f.field, r.data, r.created_at, r.deleted_at, -1) of
    group by 1, 2, 3, 4, 5, 6;
    return null;
end $$;

CREATE FUNCTION records.tally_made() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'records', 'extensions'
    AS $$
begin
    insert into tally_deltas (tenant_id, pipeline_id, kind, field, value, day, amount)
    with counted as materialized (
        select r.tenant_id, r.pipeline_id, f.field, case when f.field = '' then '' else r.data->>f.field end as value,
            r.deleted_at is null as live, (r.created_at at time zone 'UTC')::date as day, r.created_by, count(*) as amount
        from made r join tally_fields f on f.tenant_id = r.tenant_id and f.pipeline_id = r.pipeline_id
        group by 1, 2, 3, 4, 5, 6, 7
    )
    select t.tenant_id, t.pipeline_id, t.kind, t.field, t.value, t.day, sum(t.amount)
    from (
        select tenant_id, pipeline_id, 'live' as kind, field, coalesce(value, '') as value, date '1970-01-01' as day, amount
        from counted where live
        union all
        select tenant_id, pipeline_id, 'made', '', '', day, amount from counted where live and field = ''
        union all
        select tenant_id, pipeline_id, case when field = '' then 'did' else 'entered' end,
            case when field = '' then 'created' else field end,
            case when field = '' then created_by::text else value end, day, amount
        from counted where value is not null
    ) t
    group by 1, 2, 3, 4, 5, 6;
    return null;
end $$;

CREATE FUNCTION records.tally_of(name text, data jsonb, created_at timestamp with time zone, deleted_at timestamp with time zone, sign integer) RETURNS TABLE(kind text, field text, value text, day date, amount integer)
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    select 'live', name, case when name = '' then '' else coalesce(data->>name, '') end, date '1970-01-01', sign
    where deleted_at is null
    union all
    select 'made', '', '', (created_at at time zone 'UTC')::date, sign where deleted_at is null and name = ''
$$;

CREATE TABLE records.computed_marks (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    record_id uuid NOT NULL,
    by jsonb NOT NULL
);

ALTER TABLE ONLY records.computed_marks FORCE ROW LEVEL SECURITY;

CREATE TABLE records.counters (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    field text NOT NULL,
    last bigint NOT NULL
);

ALTER TABLE ONLY records.counters FORCE ROW LEVEL SECURITY;

CREATE TABLE records.document_texts (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    field text NOT NULL,
    seq bigint NOT NULL
);

ALTER TABLE ONLY records.document_texts FORCE ROW LEVEL SECURITY;

CREATE TABLE records.edges (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL,
    source_id uuid NOT NULL,
    source_pipeline uuid NOT NULL,
    target_id uuid NOT NULL,
    target_pipeline uuid NOT NULL,
    field text NOT NULL,
    one_target boolean NOT NULL,
    one_source boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by uuid NOT NULL,
    parked smallint DEFAULT 0 NOT NULL,
    attributes jsonb
);

ALTER TABLE ONLY records.edges FORCE ROW LEVEL SECURITY;

CREATE TABLE records.field_indexes (
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    pipeline_id uuid NOT NULL,
    expression text NOT NULL,
    wanted boolean NOT NULL,
    ready boolean NOT NULL,
    derived boolean DEFAULT false NOT NULL
);

ALTER TABLE ONLY records.field_indexes FORCE ROW LEVEL SECURITY;

CREATE SEQUENCE records.lock_tokens
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE records.field_locks (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    field text NOT NULL,
    token bigint DEFAULT nextval('records.lock_tokens'::regclass) NOT NULL,
    principal_id uuid NOT NULL,
    holder text NOT NULL,
    connection text NOT NULL,
    until timestamp with time zone NOT NULL
);

ALTER TABLE ONLY records.field_locks FORCE ROW LEVEL SECURITY;

CREATE TABLE records.file_ends (
    tenant_id uuid NOT NULL,
    file_id uuid NOT NULL,
    due timestamp with time zone NOT NULL,
    object text
);

ALTER TABLE ONLY records.file_ends FORCE ROW LEVEL SECURITY;

CREATE TABLE records.file_uses (
    tenant_id uuid NOT NULL,
    file_id uuid NOT NULL,
    record_id uuid NOT NULL,
    field text NOT NULL
);

ALTER TABLE ONLY records.file_uses FORCE ROW LEVEL SECURITY;

CREATE TABLE records.files (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    field text NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    digest text NOT NULL,
    uploaded_at timestamp with time zone NOT NULL,
    uploaded_by uuid NOT NULL
);

ALTER TABLE ONLY records.files FORCE ROW LEVEL SECURITY;

CREATE TABLE records.history (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    version bigint NOT NULL,
    operation text NOT NULL,
    changes jsonb NOT NULL,
    actor_id uuid NOT NULL,
    actor_kind text NOT NULL,
    actor_name text NOT NULL,
    at timestamp with time zone NOT NULL,
    client jsonb
);

ALTER TABLE ONLY records.history FORCE ROW LEVEL SECURITY;

CREATE TABLE records.idempotency (
    tenant_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    request bytea NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    headers bytea NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY records.idempotency FORCE ROW LEVEL SECURITY;

CREATE TABLE records.import_claims (
    tenant_id uuid NOT NULL,
    job_id uuid NOT NULL,
    digest bytea NOT NULL,
    holder text NOT NULL
);

ALTER TABLE ONLY records.import_claims FORCE ROW LEVEL SECURITY;

CREATE TABLE records.inbox (
    tenant_id uuid NOT NULL,
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY records.inbox FORCE ROW LEVEL SECURITY;

CREATE TABLE records.job_queue (
    tenant_id uuid NOT NULL,
    job_id uuid NOT NULL,
    kind text NOT NULL,
    owner uuid,
    lease_until timestamp with time zone,
    ready_at timestamp with time zone NOT NULL,
    attempts integer NOT NULL
);

ALTER TABLE ONLY records.job_queue FORCE ROW LEVEL SECURITY;

CREATE TABLE records.jobs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    pipeline_id uuid,
    state text NOT NULL,
    input jsonb NOT NULL,
    checkpoint jsonb NOT NULL,
    done bigint NOT NULL,
    total bigint,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    refused bigint NOT NULL,
    result jsonb,
    error jsonb,
    principal jsonb NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    updated_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone
);

ALTER TABLE ONLY records.jobs FORCE ROW LEVEL SECURITY;

CREATE TABLE records.late_jobs (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    job_id uuid
);

ALTER TABLE ONLY records.late_jobs FORCE ROW LEVEL SECURITY;

CREATE TABLE records.late_values (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    record_id uuid NOT NULL,
    id uuid NOT NULL,
    names text[] NOT NULL,
    by jsonb NOT NULL
);

ALTER TABLE ONLY records.late_values FORCE ROW LEVEL SECURITY;

CREATE TABLE records.links (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    pipeline_id uuid NOT NULL,
    target_id uuid,
    token_hash bytea NOT NULL,
    owner_id uuid NOT NULL,
    settings jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone
);

ALTER TABLE ONLY records.links FORCE ROW LEVEL SECURITY;

CREATE TABLE records.match_keys (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    field text NOT NULL,
    key text NOT NULL,
    record_id uuid NOT NULL
);

ALTER TABLE ONLY records.match_keys FORCE ROW LEVEL SECURITY;

CREATE TABLE records.merges (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    target_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    before_version bigint NOT NULL,
    after_version bigint NOT NULL,
    undo jsonb NOT NULL,
    merged_at timestamp with time zone NOT NULL,
    merged_by uuid NOT NULL,
    undone_at timestamp with time zone
);

ALTER TABLE ONLY records.merges FORCE ROW LEVEL SECURITY;

CREATE TABLE records.operations (
    tenant_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    operation_id text NOT NULL,
    record_id uuid NOT NULL,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY records.operations FORCE ROW LEVEL SECURITY;

CREATE TABLE records.outbox (
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subject text NOT NULL,
    payload text NOT NULL,
    traceparent text,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY records.outbox FORCE ROW LEVEL SECURITY;

ALTER TABLE records.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME records.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE records.pipelines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    definition jsonb NOT NULL,
    followers bigint DEFAULT 0 NOT NULL
);

ALTER TABLE ONLY records.pipelines FORCE ROW LEVEL SECURITY;

CREATE TABLE records.purges (
    id uuid NOT NULL,
    begun_at timestamp with time zone DEFAULT now() NOT NULL,
    swept_at timestamp with time zone,
    done boolean DEFAULT false NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE records.records (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    version bigint NOT NULL,
    title text NOT NULL,
    data jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by uuid NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    updated_by uuid NOT NULL,
    deleted_at timestamp with time zone,
    fenced boolean DEFAULT false NOT NULL
);

ALTER TABLE ONLY records.records FORCE ROW LEVEL SECURITY;

CREATE TABLE records.refused_rows (
    tenant_id uuid NOT NULL,
    job_id uuid NOT NULL,
    number bigint NOT NULL,
    cells text NOT NULL,
    faults jsonb NOT NULL
);

ALTER TABLE ONLY records.refused_rows FORCE ROW LEVEL SECURITY;

CREATE TABLE records.relationship_types (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    inverse_name text,
    source_pipeline uuid,
    target_pipeline uuid,
    cardinality text NOT NULL,
    on_delete text NOT NULL,
    deleted boolean NOT NULL
);

ALTER TABLE ONLY records.relationship_types FORCE ROW LEVEL SECURITY;

CREATE TABLE records.role_grants (
    tenant_id uuid NOT NULL,
    role_id uuid NOT NULL,
    version bigint NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    grants jsonb NOT NULL
);

ALTER TABLE ONLY records.role_grants FORCE ROW LEVEL SECURITY;

CREATE TABLE records.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE records.search_documents (
    tenant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    shape bigint NOT NULL,
    document tsvector NOT NULL
);

ALTER TABLE ONLY records.search_documents FORCE ROW LEVEL SECURITY;

CREATE TABLE records.search_words (
    tenant_id uuid NOT NULL,
    tag text NOT NULL COLLATE pg_catalog."C",
    word text NOT NULL COLLATE pg_catalog."C"
);

ALTER TABLE ONLY records.search_words FORCE ROW LEVEL SECURITY;

CREATE TABLE records.tallies (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    kind text NOT NULL,
    field text NOT NULL,
    value text NOT NULL,
    day date NOT NULL,
    amount bigint NOT NULL
);

ALTER TABLE ONLY records.tallies FORCE ROW LEVEL SECURITY;

CREATE TABLE records.tally_deltas (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    kind text NOT NULL,
    field text NOT NULL,
    value text NOT NULL,
    day date NOT NULL,
    amount bigint NOT NULL
);

ALTER TABLE ONLY records.tally_deltas FORCE ROW LEVEL SECURITY;

CREATE TABLE records.tally_fields (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    field text NOT NULL,
    until xid8,
    ready boolean DEFAULT false NOT NULL
);

ALTER TABLE ONLY records.tally_fields FORCE ROW LEVEL SECURITY;

CREATE TABLE records.tenant_settings (
    tenant_id uuid NOT NULL,
    require_if_match boolean NOT NULL,
    trash_days integer DEFAULT 30 NOT NULL,
    swept_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL
);

ALTER TABLE ONLY records.tenant_settings FORCE ROW LEVEL SECURITY;

CREATE TABLE records.tombstones (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    record_ids uuid[] NOT NULL,
    pipeline_ids uuid[] NOT NULL,
    place jsonb,
    due timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY records.tombstones FORCE ROW LEVEL SECURITY;

CREATE TABLE records.trashed_values (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    key text NOT NULL,
    record_id uuid NOT NULL,
    version bigint NOT NULL,
    value jsonb NOT NULL
);

ALTER TABLE ONLY records.trashed_values FORCE ROW LEVEL SECURITY;

CREATE TABLE records.unique_values (
    tenant_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    field text NOT NULL,
    value text NOT NULL,
    record_id uuid NOT NULL
);

ALTER TABLE ONLY records.unique_values FORCE ROW LEVEL SECURITY;

CREATE TABLE records.users (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL
);

ALTER TABLE ONLY records.users FORCE ROW LEVEL SECURITY;

CREATE TABLE records.views (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    definition jsonb NOT NULL
);

ALTER TABLE ONLY records.views FORCE ROW LEVEL SECURITY;

ALTER TABLE ONLY records.computed_marks
    ADD CONSTRAINT computed_marks_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.counters
    ADD CONSTRAINT counters_pkey PRIMARY KEY (tenant_id, pipeline_id, field);

ALTER TABLE ONLY records.document_texts
    ADD CONSTRAINT document_texts_pkey PRIMARY KEY (tenant_id, record_id, field);

ALTER TABLE ONLY records.edges
    ADD CONSTRAINT edges_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.field_indexes
    ADD CONSTRAINT field_indexes_pkey PRIMARY KEY (tenant_id, name);

ALTER TABLE ONLY records.field_locks
    ADD CONSTRAINT field_locks_pkey PRIMARY KEY (tenant_id, record_id, field);

ALTER TABLE ONLY records.file_ends
    ADD CONSTRAINT file_ends_pkey PRIMARY KEY (tenant_id, file_id);

ALTER TABLE ONLY records.file_uses
    ADD CONSTRAINT file_uses_pkey PRIMARY KEY (tenant_id, file_id, record_id, field);

ALTER TABLE ONLY records.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (tenant_id, record_id, version);

ALTER TABLE ONLY records.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (tenant_id, principal_id, request);

ALTER TABLE ONLY records.import_claims
    ADD CONSTRAINT import_claims_pkey PRIMARY KEY (tenant_id, job_id, digest);

ALTER TABLE ONLY records.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (tenant_id, consumer, event_id);

ALTER TABLE ONLY records.job_queue
    ADD CONSTRAINT job_queue_pkey PRIMARY KEY (tenant_id, job_id);

ALTER TABLE ONLY records.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.late_jobs
    ADD CONSTRAINT late_jobs_pkey PRIMARY KEY (tenant_id, pipeline_id);

ALTER TABLE ONLY records.late_values
    ADD CONSTRAINT late_values_pkey PRIMARY KEY (tenant_id, pipeline_id, record_id, id);

ALTER TABLE ONLY records.links
    ADD CONSTRAINT links_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.match_keys
    ADD CONSTRAINT match_keys_pkey PRIMARY KEY (tenant_id, pipeline_id, field, key, record_id);

ALTER TABLE ONLY records.merges
    ADD CONSTRAINT merges_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.operations
    ADD CONSTRAINT operations_pkey PRIMARY KEY (tenant_id, principal_id, operation_id);

ALTER TABLE ONLY records.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY records.pipelines
    ADD CONSTRAINT pipelines_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.purges
    ADD CONSTRAINT purges_pkey PRIMARY KEY (id);

ALTER TABLE ONLY records.records
    ADD CONSTRAINT records_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.refused_rows
    ADD CONSTRAINT refused_rows_pkey PRIMARY KEY (tenant_id, job_id, number);

ALTER TABLE ONLY records.relationship_types
    ADD CONSTRAINT relationship_types_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.role_grants
    ADD CONSTRAINT role_grants_pkey PRIMARY KEY (tenant_id, role_id);

ALTER TABLE ONLY records.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY records.search_documents
    ADD CONSTRAINT search_documents_pkey PRIMARY KEY (tenant_id, record_id);

ALTER TABLE ONLY records.tallies
    ADD CONSTRAINT tallies_pkey PRIMARY KEY (tenant_id, pipeline_id, kind, field, value, day);

ALTER TABLE ONLY records.tally_fields
    ADD CONSTRAINT tally_fields_pkey PRIMARY KEY (tenant_id, pipeline_id, field);

ALTER TABLE ONLY records.tenant_settings
    ADD CONSTRAINT tenant_settings_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY records.tombstones
    ADD CONSTRAINT tombstones_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.trashed_values
    ADD CONSTRAINT trashed_values_pkey PRIMARY KEY (tenant_id, pipeline_id, key, record_id, version);

ALTER TABLE ONLY records.unique_values
    ADD CONSTRAINT unique_values_pkey PRIMARY KEY (tenant_id, pipeline_id, field, value);

ALTER TABLE ONLY records.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY records.views
    ADD CONSTRAINT views_pkey PRIMARY KEY (tenant_id, id);

CREATE INDEX computed_marks_record ON records.computed_marks USING btree (tenant_id, record_id);

CREATE INDEX edges_in ON records.edges USING btree (tenant_id, target_id, type) INCLUDE (source_id, source_pipeline);

CREATE UNIQUE INDEX edges_one_source ON records.edges USING btree (tenant_id, type, target_id) WHERE one_source;

CREATE UNIQUE INDEX edges_one_target ON records.edges USING btree (tenant_id, type, source_id) WHERE one_target;

CREATE UNIQUE INDEX edges_out ON records.edges USING btree (tenant_id, source_id, type, target_id, field) INCLUDE (target_pipeline);

CREATE INDEX field_indexes_open ON records.field_indexes USING btree (name) WHERE (NOT ready);

CREATE INDEX field_indexes_pipeline ON records.field_indexes USING btree (tenant_id, pipeline_id);

CREATE INDEX file_ends_due ON records.file_ends USING btree (due);

CREATE INDEX file_uses_record ON records.file_uses USING btree (tenant_id, record_id);

CREATE INDEX idempotency_created_at ON records.idempotency USING btree (created_at);

CREATE INDEX inbox_handled_at ON records.inbox USING btree (tenant_id, handled_at);

CREATE INDEX job_queue_ready ON records.job_queue USING btree (ready_at);

CREATE INDEX jobs_exported ON records.jobs USING btree (tenant_id, finished_at) WHERE ((kind = 'export'::text) AND (result ? 'report_url'::text));

CREATE INDEX jobs_finished ON records.jobs USING btree (tenant_id, finished_at);

CREATE INDEX links_pipeline ON records.links USING btree (tenant_id, pipeline_id, kind, id);

CREATE INDEX links_target ON records.links USING btree (tenant_id, target_id) WHERE (target_id IS NOT NULL);

CREATE UNIQUE INDEX links_token ON records.links USING btree (tenant_id, token_hash);

CREATE INDEX match_keys_record ON records.match_keys USING btree (tenant_id, record_id);

CREATE INDEX operations_created ON records.operations USING btree (tenant_id, created_at);

CREATE INDEX records_data ON records.records USING gin (pipeline_id, data jsonb_path_ops) WITH (gin_pending_list_limit='64');

CREATE INDEX records_deleted ON records.records USING btree (tenant_id, deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX records_pipeline ON records.records USING btree (tenant_id, pipeline_id, id) WHERE (deleted_at IS NULL);

CREATE INDEX records_trash ON records.records USING btree (tenant_id, pipeline_id, id) WHERE (deleted_at IS NOT NULL);

CREATE INDEX records_updated ON records.records USING btree (tenant_id, pipeline_id, updated_at, id) WHERE (deleted_at IS NULL);

CREATE INDEX relationship_types_name ON records.relationship_types USING btree (tenant_id, name);

CREATE INDEX search_documents_document ON records.search_documents USING gin (document) WITH (gin_pending_list_limit='64');

CREATE INDEX search_documents_pipeline ON records.search_documents USING btree (tenant_id, pipeline_id, record_id);

CREATE INDEX search_words_begin ON records.search_words USING btree (tenant_id, word, tag);

CREATE INDEX search_words_end ON records.search_words USING btree (tenant_id, reverse(word), tag, word);

CREATE INDEX search_words_similar ON records.search_words USING gin (tenant_id, word extensions.gin_trgm_ops) WITH (gin_pending_list_limit='128');

CREATE INDEX tally_deltas_pipeline ON records.tally_deltas USING btree (tenant_id, pipeline_id);

CREATE INDEX tally_fields_open ON records.tally_fields USING btree (tenant_id) WHERE (NOT ready);

CREATE INDEX tenant_settings_swept ON records.tenant_settings USING btree (swept_at) WHERE (trash_days > 0);

CREATE INDEX tombstones_due ON records.tombstones USING btree (due);

CREATE INDEX trashed_values_record ON records.trashed_values USING btree (tenant_id, record_id);

CREATE INDEX unique_values_record ON records.unique_values USING btree (tenant_id, record_id);

CREATE TRIGGER records_match_changed AFTER UPDATE OF title, data ON records.records FOR EACH ROW WHEN (((old.title IS DISTINCT FROM new.title) OR (old.data IS DISTINCT FROM new.data))) EXECUTE FUNCTION records.match_changed();

CREATE TRIGGER records_match_gone AFTER DELETE ON records.records REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION records.match_gone();

CREATE TRIGGER records_match_made AFTER INSERT ON records.records REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION records.match_made();

CREATE TRIGGER records_tally_changed AFTER UPDATE ON records.records REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION records.tally_changed();

CREATE TRIGGER records_tally_gone AFTER DELETE ON records.records REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION records.tally_gone();

CREATE TRIGGER records_tally_made AFTER INSERT ON records.records REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION records.tally_made();

ALTER TABLE records.computed_marks ENABLE ROW LEVEL SECURITY;

CREATE POLICY computed_marks_runner ON records.computed_marks FOR SELECT TO millrace_records_relay USING (true);

ALTER TABLE records.counters ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.document_texts ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.edges ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.field_indexes ENABLE ROW LEVEL SECURITY;

CREATE POLICY field_indexes_builder ON records.field_indexes TO millrace_migrate USING (true) WITH CHECK (true);

ALTER TABLE records.field_locks ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.file_ends ENABLE ROW LEVEL SECURITY;

CREATE POLICY file_ends_pruner ON records.file_ends TO millrace_records_relay USING (true) WITH CHECK (true);

ALTER TABLE records.file_uses ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.files ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.history ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.idempotency ENABLE ROW LEVEL SECURITY;

CREATE POLICY idempotency_pruning ON records.idempotency TO millrace_records_relay USING ((created_at < (now() - '24:00:00'::interval)));

ALTER TABLE records.import_claims ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.inbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.job_queue ENABLE ROW LEVEL SECURITY;

CREATE POLICY job_queue_runner ON records.job_queue TO millrace_records_relay USING (true) WITH CHECK (true);

ALTER TABLE records.jobs ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.late_jobs ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.late_values ENABLE ROW LEVEL SECURITY;

CREATE POLICY late_values_runner ON records.late_values FOR SELECT TO millrace_records_relay USING (true);

ALTER TABLE records.links ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.match_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.merges ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.operations ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.outbox ENABLE ROW LEVEL SECURITY;

CREATE POLICY outbox_insert ON records.outbox FOR INSERT WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY outbox_relay ON records.outbox TO millrace_records_relay USING (true);

ALTER TABLE records.pipelines ENABLE ROW LEVEL SECURITY;

CREATE POLICY pipelines_builder ON records.pipelines FOR SELECT TO millrace_migrate USING (true);

ALTER TABLE records.records ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.refused_rows ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.relationship_types ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.role_grants ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.search_documents ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.search_words ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.tallies ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.tally_deltas ENABLE ROW LEVEL SECURITY;

CREATE POLICY tally_deltas_counter ON records.tally_deltas FOR SELECT TO millrace_records_relay USING (true);

ALTER TABLE records.tally_fields ENABLE ROW LEVEL SECURITY;

CREATE POLICY tally_fields_counter ON records.tally_fields FOR SELECT TO millrace_records_relay USING (true);

CREATE POLICY tenant_isolation ON records.computed_marks USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.counters USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.document_texts USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.edges USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.field_indexes USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.field_locks USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.file_ends USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.file_uses USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.files USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.history USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.idempotency USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.import_claims USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.inbox USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.job_queue USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.jobs USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.late_jobs USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.late_values USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.links USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.match_keys USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.merges USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.operations USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.pipelines USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.records USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.refused_rows USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.relationship_types USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.role_grants USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.search_documents USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.search_words USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.tallies USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.tally_deltas USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.tally_fields USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.tenant_settings USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.tombstones USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.trashed_values USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.unique_values USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.users USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

CREATE POLICY tenant_isolation ON records.views USING ((tenant_id = records.current_tenant())) WITH CHECK ((tenant_id = records.current_tenant()));

ALTER TABLE records.tenant_settings ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_settings_sweeper ON records.tenant_settings TO millrace_records_relay USING (true) WITH CHECK (true);

ALTER TABLE records.tombstones ENABLE ROW LEVEL SECURITY;

CREATE POLICY tombstones_forgetter ON records.tombstones TO millrace_records_relay USING (true) WITH CHECK (true);

ALTER TABLE records.trashed_values ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.unique_values ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.users ENABLE ROW LEVEL SECURITY;

ALTER TABLE records.views ENABLE ROW LEVEL SECURITY;

CREATE POLICY views_builder ON records.views FOR SELECT TO millrace_migrate USING (true);

GRANT USAGE ON SCHEMA records TO millrace_records;
GRANT USAGE ON SCHEMA records TO millrace_records_relay;

REVOKE ALL ON FUNCTION records.purge_rows(name text, batch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION records.purge_rows(name text, batch bigint) TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.computed_marks TO millrace_records;
GRANT SELECT ON TABLE records.computed_marks TO millrace_records_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.counters TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.document_texts TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.edges TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.field_indexes TO millrace_records;

GRANT SELECT,USAGE ON SEQUENCE records.lock_tokens TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.field_locks TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.file_ends TO millrace_records;
GRANT SELECT,UPDATE ON TABLE records.file_ends TO millrace_records_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.file_uses TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.files TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.history TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.idempotency TO millrace_records;
GRANT DELETE ON TABLE records.idempotency TO millrace_records_relay;

GRANT SELECT(tenant_id) ON TABLE records.idempotency TO millrace_records_relay;

GRANT SELECT(principal_id) ON TABLE records.idempotency TO millrace_records_relay;

GRANT SELECT(request) ON TABLE records.idempotency TO millrace_records_relay;

GRANT SELECT(created_at) ON TABLE records.idempotency TO millrace_records_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.import_claims TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.inbox TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.job_queue TO millrace_records;
GRANT SELECT,UPDATE ON TABLE records.job_queue TO millrace_records_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.jobs TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.late_jobs TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.late_values TO millrace_records;
GRANT SELECT ON TABLE records.late_values TO millrace_records_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.links TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.match_keys TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.merges TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.operations TO millrace_records;

GRANT INSERT ON TABLE records.outbox TO millrace_records;
GRANT SELECT,DELETE ON TABLE records.outbox TO millrace_records_relay;

GRANT SELECT,USAGE ON SEQUENCE records.outbox_id_seq TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.pipelines TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.purges TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.records TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.refused_rows TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.relationship_types TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.role_grants TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.schema_migrations TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.search_documents TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.search_words TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.tallies TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.tally_deltas TO millrace_records;
GRANT SELECT ON TABLE records.tally_deltas TO millrace_records_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.tally_fields TO millrace_records;
GRANT SELECT ON TABLE records.tally_fields TO millrace_records_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.tenant_settings TO millrace_records;
GRANT SELECT,UPDATE ON TABLE records.tenant_settings TO millrace_records_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.tombstones TO millrace_records;
GRANT SELECT,UPDATE ON TABLE records.tombstones TO millrace_records_relay;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.trashed_values TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.unique_values TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.users TO millrace_records;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE records.views TO millrace_records;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA records GRANT SELECT,USAGE ON SEQUENCES TO millrace_records;

ALTER DEFAULT PRIVILEGES FOR ROLE millrace_migrate IN SCHEMA records GRANT SELECT,INSERT,DELETE,UPDATE ON TABLES TO millrace_records;

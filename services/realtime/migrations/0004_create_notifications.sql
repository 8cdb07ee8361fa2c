-- migrate: up

-- What a person was told. `mail`: whether it goes by mail, at once or in a digest, and whether that was asked for.
create table notifications (
    tenant_id uuid not null,
    user_id uuid not null,
    id uuid not null,
    event_id uuid not null,
    kind text not null,
    title text not null,
    pipeline_id uuid,
    record_id uuid,
    data jsonb not null,
    in_app boolean not null,
    mail text not null check (mail in ('none', 'digest', 'asked')),
    created_at timestamptz not null,
    read_at timestamptz,
    primary key (tenant_id, user_id, id)
);
create unique index notifications_event on notifications (tenant_id, user_id, event_id, kind);
create index notifications_unread on notifications (tenant_id, user_id, id) where in_app and read_at is null;
create index notifications_digest on notifications (tenant_id, user_id, id) where mail = 'digest';
call isolate('notifications');

-- How a person wants to be told, and in which zone a day begins for the digest.
create table preferences (
    tenant_id uuid not null,
    user_id uuid not null,
    kinds jsonb not null,
    time_zone text not null,
    digest_hour int not null,
    primary key (tenant_id, user_id)
);
call isolate('preferences');

-- The records and views that a person follows; of a view, its filter as its service announced it.
create table follows (
    tenant_id uuid not null,
    user_id uuid not null,
    kind text not null check (kind in ('record', 'view')),
    target_id uuid not null,
    pipeline_id uuid not null,
    name text not null,
    filter jsonb,
    created_at timestamptz not null,
    primary key (tenant_id, user_id, kind, target_id)
);
create index follows_target on follows (tenant_id, kind, target_id);
create index follows_pipeline on follows (tenant_id, pipeline_id);
call isolate('follows');

-- When a person's digest is due. Who sends digests sees these rows of all tenants, and nothing else.
create table digests (
    tenant_id uuid not null,
    user_id uuid not null,
    next_at timestamptz not null,
    primary key (tenant_id, user_id)
);
create index digests_next_at on digests (next_at);
call isolate('digests');
create policy digests_relay on digests to millrace_{service}_relay using (true);
grant select, update on digests to millrace_{service}_relay;

-- migrate: down
drop table digests, follows, preferences, notifications;

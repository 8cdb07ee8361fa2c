-- migrate: up
-- What older lines of SIGNING_KEY_SECRET have hashed with, sealed with the newest, so that the lines themselves can go.
create table older_keys (
    id uuid primary key,
    purpose text not null,
    secret bytea not null,
    created_at timestamptz not null default now()
);

-- migrate: down
drop table older_keys;

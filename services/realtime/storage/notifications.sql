-- name: insert_notification
-- Once for an event; whether it is new.
insert into notifications (
    tenant_id, user_id, id, event_id, kind, title, pipeline_id, record_id, data, in_app, mail, created_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (tenant_id, user_id, event_id, kind) do nothing returning true;

-- name: count_mails
-- How many mails were asked for within an hour, for each of some people.
select user_id, count(*) as mails from notifications
where tenant_id = $1 and user_id = any($2::uuid[]) and mail = 'asked' and created_at > now() - interval '1 hour'
group by user_id;

-- name: forget_notifications
-- Keeps the newest of a person, and none for long.
delete from notifications where tenant_id = $1 and user_id = $2 and mail <> 'digest' and (
    created_at < now() - make_interval(days => $3) or id < (
        select id from notifications where tenant_id = $1 and user_id = $2 order by id desc offset $4 limit 1
    )
);

-- name: list_notifications -> Notification
-- A person's notifications, the newest first.
select id, user_id, event_id, kind, title, pipeline_id, record_id, data, in_app, mail, created_at, read_at
from notifications
where tenant_id = $1 and user_id = $2 and in_app and ($3::uuid is null or id < $3) and (not $4 or read_at is null)
order by id desc limit $5;

-- name: count_notifications
select count(*) from notifications where tenant_id = $1 and user_id = $2 and in_app and (not $3 or read_at is null);

-- name: count_unread
select count(*) from notifications where tenant_id = $1 and user_id = $2 and in_app and read_at is null;

-- name: read_some
update notifications set read_at = now()
where tenant_id = $1 and user_id = $2 and id = any($3::uuid[]) and read_at is null;

-- name: read_until
update notifications set read_at = now() where tenant_id = $1 and user_id = $2 and id <= $3 and read_at is null;

-- name: get_preferences
select kinds, time_zone, digest_hour from preferences where tenant_id = $1 and user_id = $2;

-- name: many_preferences
select user_id, kinds, time_zone, digest_hour from preferences where tenant_id = $1 and user_id = any($2::uuid[]);

-- name: put_preferences
insert into preferences (tenant_id, user_id, kinds, time_zone, digest_hour) values ($1, $2, $3, $4, $5)
on conflict (tenant_id, user_id) do update
set kinds = excluded.kinds, time_zone = excluded.time_zone, digest_hour = excluded.digest_hour;

-- name: lock_follows
select pg_advisory_xact_lock(hashtextextended('follows ' || $1::text || $2::text, 0));

-- name: count_follows
select count(*) from follows where tenant_id = $1 and user_id = $2;

-- name: put_follow
insert into follows (tenant_id, user_id, kind, target_id, pipeline_id, name, filter, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (tenant_id, user_id, kind, target_id) do update set name = excluded.name, filter = excluded.filter;

-- name: delete_follow
delete from follows where tenant_id = $1 and user_id = $2 and kind = $3 and target_id = $4 returning true;

-- name: list_follows -> Follow
select user_id, kind, target_id, pipeline_id, name, filter, created_at from follows
where tenant_id = $1 and user_id = $2 order by created_at, target_id;

-- name: followers -> Follow
-- Who follows one of these records, or a view of one of these pipelines.
select user_id, kind, target_id, pipeline_id, name, filter, created_at from follows
where tenant_id = $1 and (
    (kind = 'record' and target_id = any($2::uuid[])) or (kind = 'view' and pipeline_id = any($3::uuid[]))
) order by created_at, user_id;

-- name: change_view
-- A view is called or filters otherwise.
update follows set name = $3, filter = $4 where tenant_id = $1 and kind = 'view' and target_id = $2;

-- name: end_view
-- A view exists for its owner alone, or for nobody, from now on.
delete from follows where tenant_id = $1 and kind = 'view' and target_id = $2 and user_id is distinct from $3;

-- name: due_digest
-- A person's digest is due then, unless it is before.
insert into digests (tenant_id, user_id, next_at) values ($1, $2, $3)
on conflict (tenant_id, user_id) do update set next_at = least(digests.next_at, excluded.next_at);

-- name: claim_digests -> Owed
-- Digests that are due, as who sends them sees it; each comes again soon, unless it is sent by then.
update digests set next_at = now() + interval '10 minutes' where (tenant_id, user_id) in (
    select tenant_id, user_id from digests where next_at <= now() order by next_at limit $1 for update skip locked
) returning tenant_id, user_id;

-- name: put_digest
update digests set next_at = $3 where tenant_id = $1 and user_id = $2;

-- name: take_digest -> Notification
-- What is told in a digest, which it is asked for by this.
update notifications set mail = 'asked' where tenant_id = $1 and user_id = $2 and mail = 'digest' and kind = any($3)
returning id, user_id, event_id, kind, title, pipeline_id, record_id, data, in_app, mail, created_at, read_at;

-- name: forget_record
-- A record is gone for good: what was told of it, who followed it, and what was sent of it.
with told as (delete from notifications where tenant_id = $1 and record_id = $2),
    followed as (delete from follows where tenant_id = $1 and kind = 'record' and target_id = $2)
delete from deliveries where tenant_id = $1 and record_id = $2 and state <> 'pending';

-- name: forget_person
-- A person is gone.
with told as (delete from notifications where tenant_id = $1 and user_id = $2),
    followed as (delete from follows where tenant_id = $1 and user_id = $2),
    owed as (delete from digests where tenant_id = $1 and user_id = $2)
delete from preferences where tenant_id = $1 and user_id = $2;

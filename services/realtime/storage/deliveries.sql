-- name: lock_due -> Due
-- Whoever adds deliveries of a webhook, or finishes some, does it one after the other.
select pending, failures, replay_after, replay_to, lease from due where tenant_id = $1 and webhook_id = $2 for update;

-- name: insert_deliveries
-- Adds deliveries in order; each waits until `promote` finds it the first of its record.
insert into deliveries (tenant_id, webhook_id, event_id, id, seq, kind, record_id, payload)
select $1, $2, new.event_id, new.id, new.seq, new.kind, new.record_id, new.payload
from unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::uuid[], $8::text[])
    with ordinality as new (event_id, id, seq, kind, record_id, payload, place)
order by new.place
on conflict (tenant_id, webhook_id, event_id) do nothing
returning record_id;

-- name: replay_deliveries
-- Like `insert_deliveries`; what was finished goes again, in its place among what is replayed.
insert into deliveries (tenant_id, webhook_id, event_id, id, seq, kind, record_id, payload)
select $1, $2, new.event_id, new.id, new.seq, new.kind, new.record_id, new.payload
from unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::uuid[], $8::text[])
    with ordinality as new (event_id, id, seq, kind, record_id, payload, place)
order by new.place
on conflict (tenant_id, webhook_id, event_id) do update
set state = 'pending', number = nextval('delivery_numbers'), next_at = 'infinity', forced = false, finished_at = null,
    kind = excluded.kind, attempts = 0
where deliveries.state <> 'pending'
returning record_id;

-- name: insert_test
insert into deliveries (tenant_id, webhook_id, event_id, id, seq, kind, payload, forced, next_at)
values ($1, $2, $3, $4, 0, $5, $6, true, now());

-- name: promote
-- The first delivery of each of these records may go.
update deliveries set next_at = now() where next_at = 'infinity' and (tenant_id, webhook_id, number) in (
    select distinct on (record_id) tenant_id, webhook_id, number from deliveries
    where tenant_id = $1 and webhook_id = $2 and record_id = any($3::uuid[]) and state = 'pending' and not forced
    order by record_id, number
);

-- name: wake
-- There is something to do, and this much more waits.
update due set pending = pending + $3, next_at = least(next_at, now()) where tenant_id = $1 and webhook_id = $2;

-- name: claim -> Claimed
-- The webhook that is due for longest, of a tenant that is not among those that have enough; as senders see it.
update due set lease = $1, leased_until = now() + make_interval(secs => $2)
where (tenant_id, webhook_id) = (
    select tenant_id, webhook_id from due
    where next_at <= now() and (leased_until is null or leased_until <= now()) and tenant_id <> all($3::uuid[])
    order by next_at limit 1 for update skip locked
) returning tenant_id, webhook_id;

-- name: extend
-- Holds a webhook for longer, unless the lease was lost.
update due set leased_until = now() + make_interval(secs => $4)
where tenant_id = $1 and webhook_id = $2 and lease = $3 and leased_until > now() returning replay_after, replay_to;

-- name: ready -> Ready
-- The deliveries that may go now.
select id, event_id, seq, kind, record_id, payload, attempts from deliveries
where tenant_id = $1 and webhook_id = $2 and state = 'pending' and next_at <= now()
order by next_at, number limit $3;

-- name: insert_attempt
insert into attempts (tenant_id, delivery_id, number, at, status, error, milliseconds, response)
select $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6, $7 from attempts where tenant_id = $1 and delivery_id = $2;

-- name: finish
update deliveries set state = $3, attempts = $4, last_status = $5, finished_at = now()
where tenant_id = $1 and id = $2;

-- name: again
-- Tried again later, in so many seconds.
update deliveries set attempts = $3, last_status = $4, next_at = now() + make_interval(secs => $5)
where tenant_id = $1 and id = $2;

-- name: note_round
update due set pending = greatest(0, pending - $3), failures = $4 where tenant_id = $1 and webhook_id = $2;

-- name: release
-- Lets go of a webhook until it has something to do, at the earliest after so many seconds. It is locked already.
update due set lease = null, leased_until = null, next_at = greatest(
    now() + make_interval(secs => $4),
    case when replay_after is not null and pending <= 500 then now() else coalesce((
        select min(next_at) from deliveries
        where tenant_id = $1 and webhook_id = $2 and state = 'pending'
    ), 'infinity') end
) where tenant_id = $1 and webhook_id = $2 and lease = $3;

-- name: rest
-- Nothing goes there until it is woken.
update due set next_at = 'infinity', lease = null, leased_until = null where tenant_id = $1 and webhook_id = $2;

-- name: rest_owned
update due set next_at = 'infinity' where tenant_id = $1 and webhook_id in (
    select id from webhooks where tenant_id = $1 and owner_id = $2 and state <> 'active'
);

-- name: begin_replay
update due set replay_after = $3, replay_to = $4, next_at = least(next_at, now())
where tenant_id = $1 and webhook_id = $2;

-- name: advance_replay
update due set replay_after = $3, replay_to = $4 where tenant_id = $1 and webhook_id = $2;

-- name: list_deliveries -> Delivery
-- The newest first.
select id, event_id, seq, kind, record_id, state, attempts, last_status,
    case when state = 'pending' and next_at <> 'infinity' then next_at end as next_at, created_at, finished_at
from deliveries
where tenant_id = $1 and webhook_id = $2 and ($3::uuid is null or id < $3) and ($4::text is null or state = $4)
order by id desc limit $5;

-- name: count_deliveries
select count(*) from deliveries where tenant_id = $1 and webhook_id = $2 and ($3::text is null or state = $3);

-- name: get_delivery -> Delivery
select id, event_id, seq, kind, record_id, state, attempts, last_status,
    case when state = 'pending' and next_at <> 'infinity' then next_at end as next_at, created_at, finished_at
from deliveries where tenant_id = $1 and webhook_id = $2 and id = $3;

-- name: list_attempts -> Attempt
select delivery_id, number, at, status, error, milliseconds, response
from attempts where tenant_id = $1 and delivery_id = any($2::uuid[]) order by delivery_id, number;

-- name: redeliver
-- Goes at once; what was finished goes beside the order of its record.
update deliveries set state = 'pending', forced = forced or state <> 'pending', next_at = now(), finished_at = null
where tenant_id = $1 and webhook_id = $2 and id = $3;

-- name: forget_finished
-- Deliveries that the stream could not bring again.
delete from deliveries where (tenant_id, id) in (
    select tenant_id, id from deliveries where tenant_id = $1 and webhook_id = $2 and state <> 'pending'
        and finished_at < now() - make_interval(days => $3) limit 1000
);

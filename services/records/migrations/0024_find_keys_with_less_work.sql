-- migrate: up
-- The same keys, found with less work: a bounded repetition costs most of what such an expression costs, and most texts
-- can be told by a glance from addresses and numbers.
create or replace function match_keys_of(title text, data jsonb) returns table (field text, key text)
    language sql stable parallel safe as $$
    select '', left(regexp_replace(lower(unaccent(title)), '[^[:alnum:]]+', ' ', 'g'), 200)
    where title ~ '[[:alnum:]].*[[:alnum:]]'
    union all
    select each.key, left(lower(each.value), 200) from jsonb_each_text(data) as each(key, value)
    where (each.value like '+%' or each.value like '_%@_%') and jsonb_typeof(data->each.key) = 'string'
        and position('@' in each.value) <= 65
        and each.value ~ '^(\+[0-9]{6,15}|[^[:space:]@]+@[^[:space:]@]+\.[^[:space:]@.]+)$'
$$;

-- A record that is new has no keys yet.
create or replace function match_made() returns trigger language plpgsql set search_path from current as $$
begin
    insert into match_keys (tenant_id, pipeline_id, field, key, record_id)
    select made.tenant_id, made.pipeline_id, found.field, found.key, made.id
    from made cross join lateral match_keys_of(made.title, made.data) found;
    return null;
end $$;

-- The same sums, of what was put together first.
create or replace function tally_made() returns trigger language plpgsql set search_path from current as $$
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

-- migrate: down
create or replace function tally_made() returns trigger language plpgsql set search_path from current as $$
begin
    insert into tally_deltas (tenant_id, pipeline_id, kind, field, value, day, amount)
    select t.tenant_id, t.pipeline_id, t.kind, t.field, t.value, t.day, sum(t.amount)
    from (
        select r.tenant_id, r.pipeline_id, of.*
        from made r join tally_fields f on f.tenant_id = r.tenant_id and f.pipeline_id = r.pipeline_id
        cross join lateral tally_of(f.field, r.data, r.created_at, r.deleted_at, 1) of
        union all
        select r.tenant_id, r.pipeline_id, case when f.field = '' then 'did' else 'entered' end,
            case when f.field = '' then 'created' else f.field end,
            case when f.field = '' then r.created_by::text else r.data->>f.field end,
            (r.created_at at time zone 'UTC')::date, 1
        from made r join tally_fields f on f.tenant_id = r.tenant_id and f.pipeline_id = r.pipeline_id
        where f.field = '' or r.data->>f.field is not null
    ) t
    group by 1, 2, 3, 4, 5, 6;
    return null;
end $$;

create or replace function match_made() returns trigger language plpgsql set search_path from current as $$
begin
    insert into match_keys (tenant_id, pipeline_id, field, key, record_id)
    select made.tenant_id, made.pipeline_id, found.field, found.key, made.id
    from made cross join lateral match_keys_of(made.title, made.data) found
    on conflict do nothing;
    return null;
end $$;

create or replace function match_keys_of(title text, data jsonb) returns table (field text, key text)
    language sql stable parallel safe as $$
    select '', left(regexp_replace(lower(unaccent(title)), '[^[:alnum:]]+', ' ', 'g'), 200)
    where title ~ '[[:alnum:]].*[[:alnum:]]'
    union all
    select each.key, left(lower(each.value #>> '{}'), 200) from jsonb_each(data) as each(key, value)
    where jsonb_typeof(each.value) = 'string'
        and each.value #>> '{}' ~ '^(\+[0-9]{6,15}|[^[:space:]@]{1,64}@[^[:space:]@]+\.[^[:space:]@.]+)$'
$$;

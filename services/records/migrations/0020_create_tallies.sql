-- migrate: up
-- Which pipelines are counted, and by which of their stage fields ('' is all besides). What is written from then on is
-- counted by triggers; what there was is counted once nobody writes any more who may not have seen the row yet: when the
-- oldest open transaction is younger than `until`.
create table tally_fields (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    field text not null,
    until xid8,
    ready boolean not null default false,
    primary key (tenant_id, pipeline_id, field)
);
create index tally_fields_open on tally_fields (tenant_id) where not ready;
call isolate('tally_fields');
create policy tally_fields_counter on tally_fields for select to millrace_records_relay using (true);
grant select on tally_fields to millrace_records_relay;

-- Kinds: `live` by value of a stage field, `made` by the day of making of those that are live, `entered` by day and
-- value of a stage field, `did` by day, user (value) and what was done (field).
create table tallies (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    kind text not null,
    field text not null,
    value text not null,
    day date not null,
    amount bigint not null,
    primary key (tenant_id, pipeline_id, kind, field, value, day)
);
call isolate('tallies');

-- What each statement adds: no writer waits for another. They are added up in the background.
create table tally_deltas (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    kind text not null,
    field text not null,
    value text not null,
    day date not null,
    amount bigint not null
);
create index tally_deltas_pipeline on tally_deltas (tenant_id, pipeline_id);
call isolate('tally_deltas');
create policy tally_deltas_counter on tally_deltas for select to millrace_records_relay using (true);
grant select on tally_deltas to millrace_records_relay;

-- What a record adds to what there is, by one field.
create function tally_of(name text, data jsonb, created_at timestamptz, deleted_at timestamptz, sign integer)
returns table (kind text, field text, value text, day date, amount integer) language sql stable parallel safe as $$
    select 'live', name, case when name = '' then '' else coalesce(data->>name, '') end, date '1970-01-01', sign
    where deleted_at is null
    union all
    select 'made', '', '', (created_at at time zone 'UTC')::date, sign where deleted_at is null and name = ''
$$;

create function tally_made() returns trigger language plpgsql set search_path from current as $$
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

create function tally_changed() returns trigger language plpgsql set search_path from current as $$
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

create function tally_gone() returns trigger language plpgsql set search_path from current as $$
begin
    insert into tally_deltas (tenant_id, pipeline_id, kind, field, value, day, amount)
    select r.tenant_id, r.pipeline_id, of.kind, of.field, of.value, of.day, sum(of.amount)
    from gone r join tally_fields f on f.tenant_id = r.tenant_id and f.pipeline_id = r.pipeline_id
    cross join lateral tally_of(f.field, r.data, r.created_at, r.deleted_at, -1) of
    group by 1, 2, 3, 4, 5, 6;
    return null;
end $$;

create trigger records_tally_made after insert on records
    referencing new table as made for each statement execute function tally_made();
create trigger records_tally_changed after update on records
    referencing old table as before new table as after for each statement execute function tally_changed();
create trigger records_tally_gone after delete on records
    referencing old table as gone for each statement execute function tally_gone();

-- migrate: down
drop trigger records_tally_gone on records;
drop trigger records_tally_changed on records;
drop trigger records_tally_made on records;
drop function tally_gone();
drop function tally_changed();
drop function tally_made();
drop function tally_of(text, jsonb, timestamptz, timestamptz, integer);
drop table tally_deltas;
drop table tallies;
drop table tally_fields;

-- migrate: up
-- Rows of tables that could not become records, with what was in them as JSON, for who brought them to mend.
create table refused_rows (
    tenant_id uuid not null,
    job_id uuid not null,
    number bigint not null,
    cells text not null,
    faults jsonb not null,
    primary key (tenant_id, job_id, number)
);
call isolate('refused_rows');

-- What makes records of a pipeline look alike: their title, and values that are addresses of mail or telephone numbers,
-- each in the form in which two that mean the same are the same.
create table match_keys (
    tenant_id uuid not null,
    pipeline_id uuid not null,
    field text not null,
    key text not null,
    record_id uuid not null,
    primary key (tenant_id, pipeline_id, field, key, record_id)
);
create index match_keys_record on match_keys (tenant_id, record_id);
call isolate('match_keys');

create table merges (
    tenant_id uuid not null,
    id uuid not null,
    target_id uuid not null,
    pipeline_id uuid not null,
    before_version bigint not null,
    after_version bigint not null,
    undo jsonb not null,
    merged_at timestamptz not null,
    merged_by uuid not null,
    undone_at timestamptz,
    primary key (tenant_id, id)
);
call isolate('merges');

-- The title goes by the name '' because no field does.
create function match_keys_of(title text, data jsonb) returns table (field text, key text)
    language sql stable parallel safe as $$
    select '', left(regexp_replace(lower(unaccent(title)), '[^[:alnum:]]+', ' ', 'g'), 200)
    where title ~ '[[:alnum:]].*[[:alnum:]]'
    union all
    select each.key, left(lower(each.value #>> '{}'), 200) from jsonb_each(data) as each(key, value)
    where jsonb_typeof(each.value) = 'string'
        and each.value #>> '{}' ~ '^(\+[0-9]{6,15}|[^[:space:]@]{1,64}@[^[:space:]@]+\.[^[:space:]@.]+)$'
$$;

create function match_made() returns trigger language plpgsql set search_path from current as $$
begin
    insert into match_keys (tenant_id, pipeline_id, field, key, record_id)
    select made.tenant_id, made.pipeline_id, found.field, found.key, made.id
    from made cross join lateral match_keys_of(made.title, made.data) found
    on conflict do nothing;
    return null;
end $$;

create function match_changed() returns trigger language plpgsql set search_path from current as $$
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

create function match_gone() returns trigger language plpgsql set search_path from current as $$
begin
    delete from match_keys k using gone where k.tenant_id = gone.tenant_id and k.record_id = gone.id;
    return null;
end $$;

create trigger records_match_made after insert on records referencing new table as made
    for each statement execute function match_made();
create trigger records_match_changed after update of title, data on records
    for each row when (old.title is distinct from new.title or old.data is distinct from new.data)
    execute function match_changed();
create trigger records_match_gone after delete on records referencing old table as gone
    for each statement execute function match_gone();

-- The owner of the tables sees no row of theirs but here.
alter table records no force row level security;
alter table match_keys no force row level security;
insert into match_keys (tenant_id, pipeline_id, field, key, record_id)
select r.tenant_id, r.pipeline_id, found.field, found.key, r.id
from records r cross join lateral match_keys_of(r.title, r.data) found
on conflict do nothing;
alter table match_keys force row level security;
alter table records force row level security;

-- migrate: down
drop trigger records_match_gone on records;
drop trigger records_match_changed on records;
drop trigger records_match_made on records;
drop function match_gone();
drop function match_changed();
drop function match_made();
drop function match_keys_of(text, jsonb);
drop table merges;
drop table match_keys;
drop table refused_rows;

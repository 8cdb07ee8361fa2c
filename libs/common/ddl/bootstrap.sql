revoke create on schema public from public;
-- What operators note, such as deployments: no service sees it.
create schema if not exists operations authorization millrace_migrate;
create schema if not exists extensions;
grant usage on schema extensions to public;
create extension if not exists pg_trgm schema extensions;
create extension if not exists btree_gin schema extensions;
create extension if not exists unaccent schema extensions;
create extension if not exists fuzzystrmatch schema extensions;

-- Under row level security an index serves a condition only if its functions are leakproof: they tell nothing of a row
-- by raising an error. These never raise on a stored value, but PostgreSQL does not mark them so.
do $$
declare
    name text;
begin
    foreach name in array array[
        'jsonb_object_field(jsonb, text)',
        'jsonb_object_field_text(jsonb, text)',
        'jsonb_typeof(jsonb)',
        'jsonb_contains(jsonb, jsonb)',
        'jsonb_exists(jsonb, text)',
        'jsonb_exists_any(jsonb, text[])',
        'jsonb_exists_all(jsonb, text[])',
        'jsonb_eq(jsonb, jsonb)',
        'jsonb_ne(jsonb, jsonb)',
        'numeric_eq(numeric, numeric)',
        'numeric_ne(numeric, numeric)',
        'numeric_lt(numeric, numeric)',
        'numeric_le(numeric, numeric)',
        'numeric_gt(numeric, numeric)',
        'numeric_ge(numeric, numeric)',
        'numeric_cmp(numeric, numeric)',
        'pg_catalog."numeric"(jsonb)',
        'bool(jsonb)',
        'textlike(text, text)',
        'texticlike(text, text)',
        'textregexeq(text, text)',
        'starts_with(text, text)',
        'lower(text)',
        'casefold(text)',
        'reverse(text)',
        'uuid_in(cstring)',
        'textout(text)',
        'ts_match_vq(tsvector, tsquery)',
        'extensions.similarity_op(text, text)'
    ] loop
        execute format('alter function %s leakproof', name);
    end loop;
exception
    when insufficient_privilege then
        raise warning 'not a superuser: filters under row level security will not use their indexes';
end $$;

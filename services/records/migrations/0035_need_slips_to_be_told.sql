-- What was typed with a slip is told by the database itself; `millrace bootstrap` adds what that needs.

-- migrate: up
do $$
begin
    if not exists (select from pg_extension where extname = 'fuzzystrmatch') then
        raise exception 'The extension fuzzystrmatch is not there: run millrace bootstrap before the migrations';
    end if;
end
$$;

-- migrate: down
select 1;

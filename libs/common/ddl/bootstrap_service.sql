do $$ begin
    if not exists (select from pg_roles where rolname = 'millrace_{service}_relay') then
        create role millrace_{service}_relay nologin nobypassrls;
    end if;
end $$;
grant millrace_{service}_relay to millrace_{service} with inherit false, set true;
alter role millrace_{service} set search_path = {service}, extensions;
create schema if not exists {service} authorization millrace_migrate;
grant usage on schema {service} to millrace_{service}, millrace_{service}_relay;
alter default privileges for role millrace_migrate in schema {service}
    grant select, insert, update, delete on tables to millrace_{service};
alter default privileges for role millrace_migrate in schema {service}
    grant usage, select on sequences to millrace_{service};

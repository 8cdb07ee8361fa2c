-- Tenants that are gone, or going. What reads events heeds them, so that nothing late brings a tenant back.
create table purges (
    id uuid primary key,
    begun_at timestamptz not null default now(),
    swept_at timestamptz,
    done boolean not null default false,
    counts jsonb not null default '{}'
);

-- Deletes rows of the tenant of this transaction, where it is being purged; also from tables in which the service's
-- own role may not delete, such as an audit log.
create function purge_rows(name text, batch bigint) returns bigint language plpgsql security definer
set search_path = {service}, pg_temp as $$
declare
    gone bigint;
begin
    if not exists (select from purges where id = current_tenant()) then
        raise exception 'the tenant is not being purged';
    end if;
    execute format(
        'delete from %1$I where tenant_id = current_tenant()
            and ctid = any(array(select ctid from %1$I where tenant_id = current_tenant() limit $1))',
        name
    ) using batch;
    get diagnostics gone = row_count;
    return gone;
end $$;
revoke execute on function purge_rows from public;
grant execute on function purge_rows to millrace_{service};

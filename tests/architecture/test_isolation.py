"""Row level security, read off the catalogue of a migrated database: no table is forgotten."""

import asyncpg
import pytest

from libs.common.migrate import SERVICES
from tests.journeys.crm import make_pipeline, make_record, text
from tests.support.platform import Platform, Tenant
from tests.support.postgres import Database

TABLES = """
select c.oid::regclass::text as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
    exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id') as has_tenant,
    exists (select from pg_policy p where p.polrelid = c.oid) as has_policy
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any($1) and c.relkind in ('r', 'p') order by 1
"""

DIRECTORIES = {
    "auth.tenants": "the tenants themselves, found by slug before a tenant is known",
    "auth.signing_keys": "the platform's keys, of no tenant",
    "auth.older_keys": "keys of the platform's own hashes, of no tenant",
    "auth.deletions": "tenants that end, by slug and id, which have to be told of when they are gone",
    "realtime.positions": "how far the stream of all tenants was read",
    **{f"{service}.purges": "ids of tenants that are gone, and nothing else of them" for service in SERVICES},
}


@pytest.mark.integration
async def test_every_table_of_a_tenant_forces_row_level_security(database: Database) -> None:
    """Each table but a named few has a tenant column, and forces a policy on whoever reads it."""
    connection = await asyncpg.connect(database.admin_dsn)
    tables = await connection.fetch(TABLES, list(SERVICES))
    await connection.close()
    open_tables = {
        table["name"]
        for table in tables
        if not (table["has_tenant"] and table["enabled"] and table["forced"] and table["has_policy"])
        and not table["name"].endswith(".schema_migrations")
    }
    assert open_tables - DIRECTORIES.keys() == set()
    assert {table["name"].partition(".")[0] for table in tables} == set(SERVICES)


@pytest.mark.integration
@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_cannot_reach_around_its_rights(database: Database, service: str) -> None:
    """A service's role neither bypasses row level security, nor owns a table, nor reads another schema."""
    connection = await asyncpg.connect(database.dsn(service))
    role = await connection.fetchrow("select rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname = user")
    owned = await connection.fetchval("select count(*) from pg_class where relowner = (user)::regrole")
    others = [name for name in SERVICES if name != service]
    reachable = [
        name for name in others if await connection.fetchval("select has_schema_privilege(user, $1, 'usage')", name)
    ]
    await connection.close()
    assert dict(role.items()) == {"rolsuper": False, "rolbypassrls": False, "rolcreaterole": False}
    assert owned == 0
    assert reachable == []


@pytest.mark.journey
async def test_a_query_that_forgets_the_tenant_finds_nothing(stack: Platform, tenant: Tenant) -> None:
    """With rows of tenants in them, no table shows a single one to its service's role where no tenant is set."""
    people = await make_pipeline(tenant.client, "People", text("name"))
    await make_record(tenant.client, people, {"name": "One"})
    admin = await asyncpg.connect(stack.database.admin_dsn)
    tables = [table["name"] for table in await admin.fetch(TABLES, list(SERVICES)) if table["has_tenant"]]
    filled = {name for name in tables if await admin.fetchval(f"select exists (select from {name})")}  # noqa: S608
    await admin.close()
    seen = {}
    for service in SERVICES:
        connection = await asyncpg.connect(stack.database.dsn(service))
        for name in (name for name in tables if name.startswith(f"{service}.")):
            if await connection.fetchval("select has_table_privilege(user, $1, 'select')", name):
                seen[name] = await connection.fetchval(f"select count(*) from {name}")  # noqa: S608
        await connection.close()
    assert {"auth.users", "auth.sessions", "pipelines.pipelines", "records.records", "records.history"} <= filled
    assert {name: count for name, count in seen.items() if count} == {}
    assert filled - {"auth.outbox", "pipelines.outbox", "records.outbox", "realtime.outbox"} <= seen.keys()

"""The end of a tenant, from the owner's word to the last row in the last service."""

import asyncpg
import pytest

from libs.common.migrate import SERVICES
from tests.journeys.crm import make_pipeline, make_record, text, told
from tests.journeys.test_suspension import millrace
from tests.support.platform import Platform, Tenant, client
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey

TABLES = """
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any($1) and c.relkind in ('r', 'p') and not c.relispartition
    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
"""


async def left(stack: Platform, tenant: Tenant) -> set[str]:
    """The tables of all services in which the tenant has a row."""
    admin = await asyncpg.connect(stack.database.admin_dsn)
    try:
        names = [row[0] for row in await admin.fetch(TABLES, list(SERVICES))]
        query = "select exists (select from {} where tenant_id = $1)"
        return {name for name in names if await admin.fetchval(query.format(name), tenant.id)}
    finally:
        await admin.close()


async def furnish(tenant: Tenant) -> None:
    """Gives a tenant rows in many tables."""
    people = await make_pipeline(tenant.client, "People", text("name", unique=True))
    one = await make_record(tenant.client, people, {"name": "One"})
    path = f"/pipelines/{people['id']}/records/{one['id']}"
    told(await tenant.client.patch(path, json={"data": {"name": "The one"}}))
    told(await tenant.client.post(f"/pipelines/{people['id']}/views", json={"name": "All"}), 201)


async def test_a_deleted_tenant_can_be_saved_and_then_leaves_nothing(
    stack: Platform, tenant: Tenant, other_tenant: Tenant
) -> None:
    """Only its owner gets in while it waits, and restores it; then every row goes everywhere, and none of another."""
    await furnish(tenant)
    await furnish(other_tenant)
    told(await tenant.client.request("DELETE", "/organizations/current", json={"password": tenant.password}), 202)

    async def status() -> int:
        return (await tenant.client.get("/pipelines")).status_code

    async def refused() -> bool:
        return await status() == 403

    async def served() -> bool:
        return await status() == 200

    await eventually(refused)
    async with client(stack.url, **{"X-Tenant": tenant.slug}) as anonymous:
        owner = told(await anonymous.post("/auth/login", json={"email": tenant.email, "password": tenant.password}))
    async with client(stack.url, owner["access_token"]) as again:
        assert told(await again.post("/organizations/current/restore"))["status"] == "active"
    await eventually(served)
    before = await left(stack, other_tenant)
    assert {"records.records", "pipelines.views", "auth.audit_log"} <= before
    await millrace(stack, "tenant", "delete", tenant.slug, "--grace-days", "0", "--yes")

    async def done() -> bool:
        admin = await asyncpg.connect(stack.database.admin_dsn)
        try:
            query = "select finished_at is not null from auth.deletions where id = $1"
            return bool(await admin.fetchval(query, tenant.id))
        finally:
            await admin.close()

    await eventually(done)
    await millrace(stack, "tenant", "deletion", tenant.id)

    async def nothing() -> bool:
        return not await left(stack, tenant)

    await eventually(nothing)
    gone = await tenant.client.get("/users/me")
    assert (gone.status_code, gone.json()["type"]) == (403, "/problems/tenant-inactive")
    assert await left(stack, other_tenant) >= before - {f"{service}.outbox" for service in SERVICES}
    assert (await other_tenant.client.get("/pipelines")).json()["items"]

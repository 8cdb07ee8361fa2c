"""The end of a tenant, in the schemas of all services, whatever tables they have."""

from collections.abc import AsyncIterator
from typing import TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common import purge
from libs.common.bus import Bus, Consumer, Outgoing
from libs.common.events import Event, NewEvent, encode
from libs.common.ids import new_id
from libs.common.migrate import SERVICES
from libs.common.postgres import Connection, Database
from libs.common.purge import Purger, Tenant
from tests.support import postgres
from tests.support.waiting import eventually

Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CHECKS = """
select format('alter table %s drop constraint %I', conrelid::regclass, conname)
from pg_constraint where contype = 'c' and connamespace = $1::regnamespace and conrelid <> 0
"""
COLUMNS = """
select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns,
    array_agg(format_type(a.atttypid, null) order by a.attnum) as types
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = ''
    and (c.relname = 'tenants' or exists (
        select from pg_attribute t where t.attrelid = c.oid and t.attname = 'tenant_id' and not t.attisdropped))
group by c.relname
"""


def literal(kind: str, tenant_id: UUID) -> str:
    """A value of any type; all ids of a tenant are its own, so that every reference leads somewhere."""
    if kind.endswith("[]"):
        return f"'{{}}'::{kind}"
    numbers = ("bigint", "integer", "smallint", "numeric", "double precision", "xid8")
    values = {
        **dict.fromkeys(numbers, "1"),
        **{"jsonb": "{}", "bytea": f"\\x{tenant_id.hex}", "boolean": "true", "tsvector": "", "date": "today"},
        "timestamp with time zone": "now",
    }
    return f"'{values.get(kind, tenant_id)}'::{kind}"


async def fill(admin: Admin, service: str, *tenants: UUID) -> set[str]:
    """A row of each tenant in every table; the names of the tables."""
    for (statement,) in await admin.fetch(CHECKS, service):
        await admin.execute(statement)
    await admin.execute("set session_replication_role = replica")
    found = await admin.fetch(COLUMNS, service)
    for table in found:
        columns = ", ".join(table["columns"])
        for tenant_id in tenants:
            row = ", ".join(literal(kind, tenant_id) for kind in table["types"])
            await admin.execute(f"insert into {service}.{table['name']} ({columns}) values ({row})")  # noqa: S608
    await admin.execute("set session_replication_role = default")
    return {table["name"] for table in found} - {"tenants", "outbox"}


async def rows(admin: Admin, service: str, names: set[str], tenant_id: UUID) -> set[str]:
    """The tables in which the tenant has a row."""
    return {
        name
        for name in names
        if await admin.fetchval(f"select exists (select from {service}.{name} where tenant_id = $1)", tenant_id)  # noqa: S608
    }


@pytest.fixture
async def admin(database: postgres.Database) -> AsyncIterator[Admin]:
    """Sees what is there."""
    connection = await asyncpg.connect(database.admin_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database: postgres.Database) -> AsyncIterator[Database]:
    """The pool of one of the services."""
    pool = Database(database.dsn("pipelines"))
    await pool.start()
    yield pool
    await pool.stop()


async def begin(pool: Database, purger: Purger, tenant_id: UUID) -> None:
    """As the event does it."""
    async with pool.tenant(tenant_id) as connection:
        await purger.begin(connection, tenant_id)


@pytest.mark.parametrize("service", SERVICES)
async def test_no_row_of_a_tenant_is_left(database: postgres.Database, admin: Admin, service: str) -> None:
    """Every table with tenants, audit log included, is emptied of one and keeps the other; the counts are reported."""
    gone, stays = new_id(), new_id()
    names = await fill(admin, service, gone, stays)
    pool = Database(database.dsn(service))
    await pool.start()
    try:
        purger = Purger(service, pool, batch=1)
        await begin(pool, purger, gone)
        await purger.round()
    finally:
        await pool.stop()
    assert await rows(admin, service, names, gone) == set()
    assert await rows(admin, service, names, stays) == names
    subject = f"evt.{gone}.{service}.tenant.purged"
    payload = await admin.fetchval(f"select payload from {service}.outbox where subject = $1", subject)  # noqa: S608
    counts = msgspec.json.decode(payload)["data"]["counts"]
    # What refers to a row that went first may have gone along with it.
    assert set(counts) <= names
    assert set(counts.values()) == {1}


async def test_nothing_is_deleted_of_a_tenant_that_is_not_gone(pool: Database) -> None:
    """The function that may delete from every table refuses a tenant without a tombstone."""
    with pytest.raises(asyncpg.RaiseError, match="not being purged"):
        async with pool.tenant(new_id()) as connection:
            await connection.execute("select purge_rows('pipelines', 10)")


async def test_a_purge_that_broke_off_goes_on(pool: Database, admin: Admin) -> None:
    """A batch that is rolled back counts for nothing; whoever comes next finishes, and reports once."""
    tenant_id = new_id()
    names = await fill(admin, "pipelines", tenant_id)
    broken = 0

    async def crash(_: Connection, __: UUID) -> bool:
        nonlocal broken
        broken += 1
        if broken == 2:
            raise RuntimeError("killed")
        return False

    purger = Purger("pipelines", pool, batch=1)
    purger.first = crash
    await begin(pool, purger, tenant_id)
    with pytest.raises(RuntimeError):
        await purger.round()
    again = Purger("pipelines", pool)
    await again.round()
    await again.round()
    assert await rows(admin, "pipelines", names, tenant_id) == set()
    assert await admin.fetchval("select count(*) from pipelines.outbox where subject like '%purged'") == 1
    assert await admin.fetchval("select done from pipelines.purges where id = $1", tenant_id)


async def test_what_was_written_late_is_swept(pool: Database, admin: Admin) -> None:
    """A row that a late request wrote after the purge goes with a later sweep."""
    tenant_id = new_id()
    purger = Purger("pipelines", pool)
    await begin(pool, purger, tenant_id)
    await purger.round()
    names = await fill(admin, "pipelines", tenant_id)
    await purger.round()
    assert await rows(admin, "pipelines", names, tenant_id) == names
    await admin.execute(
        "update pipelines.purges set swept_at = now() - make_interval(secs => $1)", purge.SWEEP_SECONDS + 1
    )
    await purger.round()
    assert await rows(admin, "pipelines", names, tenant_id) == set()


class Said(msgspec.Struct):
    """What an event says."""

    number: int


async def test_late_events_of_a_tenant_that_is_gone_have_no_effect(pool: Database, admin: Admin, nats_url: str) -> None:
    """A consumer leaves them alone and notes nothing, while the events of others have their effect."""
    gone, stays = new_id(), new_id()
    handled: list[UUID] = []

    async def handle(_: Connection, event: Event[Said]) -> None:
        handled.append(event.tenant_id)

    bus = Bus(nats_url, "test")
    await bus.start()
    purger = Purger("pipelines", pool)
    try:
        await bus.ready()
        purger.follow(bus)
        for tenant_id, event in ((gone, NewEvent("auth.tenant.deleted", gone, Tenant(gone))),):
            event_id, subject, payload = encode(tenant_id, event)
            await bus.publish([Outgoing(subject, payload.encode(), str(event_id))])

        async def begun() -> bool:
            return bool(await admin.fetchval("select count(*) from pipelines.purges"))

        await eventually(begun)
        bus.consume(Consumer("late", "evt.*.test.thing.said", Said, handle), pool)
        for tenant_id in (gone, stays):
            event_id, subject, payload = encode(tenant_id, NewEvent("test.thing.said", new_id(), Said(1)))
            await bus.publish([Outgoing(subject, payload.encode(), str(event_id))])

        async def heard() -> bool:
            return stays in handled

        await eventually(heard)
    finally:
        await bus.stop()
    assert handled == [stays]
    assert await admin.fetchval("select count(*) from pipelines.inbox where tenant_id = $1", gone) == 0

"""The end of a tenant in a service: every row of it goes, in bounded batches, and the service reports what went.

A row in `purges` says that a tenant is gone: consumers leave its late events alone, and what a late request wrote all
the same is found by the sweeps that follow for as long as the stream keeps events. Each batch is a transaction with its
count, so a crash anywhere goes on where it was. Tables are found in the catalogue and emptied before those that they
refer to, so none is forgotten.
"""

import asyncio
from collections.abc import Awaitable, Callable
from graphlib import TopologicalSorter
from uuid import UUID

import msgspec
import structlog

from libs.common import events, outbox
from libs.common.bus import Bus, Consumer
from libs.common.events import Event, NewEvent
from libs.common.postgres import Connection, Database
from libs.common.resilience import keep_running, woken

BATCH = 2000
POLL_SECONDS = 1.0
SWEEP_SECONDS = 3600.0
WATCHED_SECONDS = events.MAX_AGE_SECONDS + 24 * 3600
SUBJECT = "evt.*.auth.tenant.deleted"
log = structlog.get_logger()

_TABLES = """
select c.relname as name, array(
    select f.relname from pg_constraint k join pg_class f on f.oid = k.confrelid
    where k.conrelid = c.oid and k.contype = 'f' and f.oid <> c.oid
) as refers_to
from pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
order by c.relname
"""
_BEGIN = """
insert into purges (id) values ($1)
on conflict (id) do update set begun_at = now(), done = false
"""
_DUE = """
select id from purges
where not done or (begun_at > now() - make_interval(secs => $1) and swept_at < now() - make_interval(secs => $2))
order by begun_at limit 20
"""
_CLAIM = "select done, counts from purges where id = $1 for update skip locked"
_NOTE = "update purges set counts = $2 where id = $1"
_DONE = "update purges set done = true, swept_at = now() where id = $1"

Step = Callable[[Connection, UUID], Awaitable[bool]]


class Tenant(msgspec.Struct, frozen=True):
    """The tenant that an event speaks of."""

    id: UUID


class Purged(msgspec.Struct, frozen=True):
    """Data of `<service>.tenant.purged`: how many rows went, by table."""

    id: UUID
    counts: dict[str, int]


async def tables(connection: Connection) -> list[str]:
    """The tables of tenants, each before those that it refers to. The outbox empties itself."""
    found = {row["name"]: row["refers_to"] for row in await connection.fetch(_TABLES)}
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(found, ()))
    for name, refers_to in found.items():
        for referred in refers_to:
            order.add(referred, name)
    return [name for name in order.static_order() if name in found and name != "outbox"]


class Purger:
    """Empties a service's tables of tenants that are gone.

    Those who have more to let go of than rows set `first`, which runs before any row goes, in batches: it returns
    whether there is more for it to do; and `last`, which runs in the transaction that reports.
    """

    def __init__(self, service: str, database: Database, *, batch: int = BATCH) -> None:
        self.first: Step | None = None
        self.last: Step | None = None
        self._service = service
        self._database = database
        self._batch = batch
        self._wake = asyncio.Event()

    def follow(self, bus: Bus) -> None:
        """Begins with each tenant that auth says is gone, durably; auth itself is told by those who have reported."""
        if self._service == "auth":
            return
        bus.consume(Consumer(f"{self._service}-purge", SUBJECT, Tenant, self._gone, noted=False), self._database)

    async def _gone(self, connection: Connection, event: Event[Tenant]) -> None:
        await self.begin(connection, event.tenant_id)

    async def begin(self, connection: Connection, tenant_id: UUID) -> None:
        """From now on the tenant is gone; once more makes sure of it and reports again."""
        await connection.execute(_BEGIN, tenant_id)
        self._wake.set()

    async def run(self) -> None:
        """Works for ever."""
        await keep_running("purge", self._work)

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            await self.round()
            await woken(self._wake, POLL_SECONDS)

    async def round(self) -> None:
        """Sweeps each tenant that is to be swept now."""
        async with self._database.system() as connection:
            due = [row["id"] for row in await connection.fetch(_DUE, float(WATCHED_SECONDS), SWEEP_SECONDS)]
        for tenant_id in due:
            while await self._step(tenant_id):
                pass

    async def _step(self, tenant_id: UUID) -> bool:
        """One batch; whether there may be more. Where another process works on the tenant there is nothing to do."""
        async with self._database.tenant(tenant_id) as connection:
            claimed = await connection.fetchrow(_CLAIM, tenant_id)
            if claimed is None:
                return False
            if self.first is not None and await self.first(connection, tenant_id):
                return True
            counts = msgspec.json.decode(claimed["counts"], type=dict[str, int])
            gone = await self._delete(connection)
            if gone:
                for table, count in gone.items():
                    counts[table] = counts.get(table, 0) + count
                await connection.execute(_NOTE, tenant_id, msgspec.json.encode(counts).decode())
                return True
            await self._finish(connection, tenant_id, counts, reported=claimed["done"])
        return False

    async def _delete(self, connection: Connection) -> dict[str, int]:
        left, gone = self._batch, {}
        for table in await tables(connection):
            count = await connection.fetchval("select purge_rows($1, $2)", table, left)
            if count:
                gone[table] = count
                left -= count
            if left <= 0:
                break
        return gone

    async def _finish(self, connection: Connection, tenant_id: UUID, counts: dict[str, int], *, reported: bool) -> None:
        await connection.execute(_DONE, tenant_id)
        if not reported:
            if self.last is not None:
                await self.last(connection, tenant_id)
            event = NewEvent(f"{self._service}.tenant.purged", tenant_id, Purged(tenant_id, counts))
            await outbox.record(connection, tenant_id, [event])
            await log.ainfo("tenant purged", tenant=str(tenant_id), rows=sum(counts.values()))

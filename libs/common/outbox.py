"""The transactional outbox: a state change and its events commit together; a relay publishes them afterwards.

Identity order is not commit order: a row is published only when no transaction as old as its own is still open, and no
row before it waits for that; so what an entity's lock has put in order stays in order. One relay runs per service (an
advisory lock chooses it), woken by NOTIFY. A crash between publishing and deleting publishes again under the same
`Nats-Msg-Id`, which JetStream drops, and consumers note event ids besides.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from operator import itemgetter
from uuid import UUID

import asyncpg
from prometheus_client import CollectorRegistry, Counter, Gauge

from libs.common import events, tracing
from libs.common.bus import Bus, Outgoing
from libs.common.events import NewEvent
from libs.common.postgres import Connection, Database
from libs.common.resilience import keep_running

BATCH = 500
POLL_SECONDS = 1.0

_INSERT = """
with written as (
    insert into outbox (tenant_id, event_id, subject, payload, traceparent)
    select $1, * from unnest($2::uuid[], $3::text[], $4::text[], $5::text[])
)
select pg_notify($6, '')
"""

_READ = """
select id, event_id, subject, payload, traceparent, transaction_id < pg_snapshot_xmin(pg_current_snapshot()) as safe,
    extract(epoch from clock_timestamp() - created_at)::float8 as age
from outbox order by id limit $1
"""


async def record(connection: Connection, tenant_id: UUID, new: Sequence[NewEvent]) -> None:
    """Writes events into the outbox of the transaction that is open."""
    if not new:
        return
    encoded = [events.encode(tenant_id, event) for event in new]
    trace = tracing.traceparent()
    source = new[0].type.partition(".")[0]
    await connection.execute(
        _INSERT,
        tenant_id,
        [event_id for event_id, _, _ in encoded],
        [subject for _, subject, _ in encoded],
        [payload for _, _, payload in encoded],
        [trace] * len(encoded),
        f"outbox_{source}",
    )


class Relay:
    """Publishes a service's outbox to the stream, in commit order, for as long as it holds the service's lock."""

    def __init__(self, service: str, database: Database, bus: Bus, registry: CollectorRegistry) -> None:
        self._service = service
        self._database = database
        self._bus = bus
        self._wake = asyncio.Event()
        self._published = Counter("outbox_published_total", "Events published from the outbox", registry=registry)
        self._oldest = Gauge("outbox_oldest_seconds", "Age of the event that waits longest", registry=registry)

    async def run(self) -> None:
        """Runs for ever, beginning anew after any failure."""
        await keep_running("outbox relay", self._lead, cap=1.0)

    async def _lead(self) -> None:
        connection = await self._database.connect()
        try:
            if not await connection.fetchval("select pg_try_advisory_lock(hashtext($1))", f"relay {self._service}"):
                return
            await connection.add_listener(f"outbox_{self._service}", lambda *_: self._wake.set())
            while not connection.is_closed():
                await self._drain()
                await self._sleep(POLL_SECONDS)
                await connection.execute("select 1")
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=2)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _drain(self) -> None:
        wait = 0.002
        while True:
            self._wake.clear()
            published, unsafe = await self._publish_batch()
            if published:
                wait = 0.002
            elif unsafe:
                await asyncio.sleep(wait)
                wait = min(0.1, wait * 2)
            else:
                return

    async def _publish_batch(self) -> tuple[int, bool]:
        """How many were published, and whether rows wait for an older transaction to end."""
        async with self._database.relay(f"millrace_{self._service}_relay") as connection:
            rows = await connection.fetch(_READ, BATCH)
        self._oldest.set(rows[0]["age"] if rows else 0)
        safe = list(takewhile(itemgetter("safe"), rows))
        if safe:
            await self._bus.publish(
                [Outgoing(r["subject"], r["payload"].encode(), str(r["event_id"]), r["traceparent"]) for r in safe]
            )
            async with self._database.relay(f"millrace_{self._service}_relay") as connection:
                await connection.execute("delete from outbox where id = any($1)", [row["id"] for row in safe])
            self._published.inc(len(safe))
        return len(safe), len(safe) < len(rows)

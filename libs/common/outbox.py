"""The transactional outbox: a state change and its events commit together; a relay publishes them afterwards.

Identity order is not commit order: a row is published only when no transaction as old as its own is still open, and no
row before it waits for that; so what an entity's lock has put in order stays in order. One relay runs per service (an
advisory lock chooses it), woken after commits by its own process and by word of the others: NOTIFY would make every
commit of the server wait for the one before it. A crash between publishing and deleting publishes again under the same
`Nats-Msg-Id`, which JetStream drops, and consumers note event ids besides.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from itertools import takewhile
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast
from uuid import UUID

import asyncpg
import nats.errors
from prometheus_client import CollectorRegistry, Counter, Gauge

from libs.common import clock, events, tracing
from libs.common.bus import Bus, Outgoing
from libs.common.errors import Unavailable
from libs.common.events import NewEvent
from libs.common.postgres import Connection, Database
from libs.common.resilience import keep_running, woken
from libs.common.transactions import announce

BATCH = 500
POLL_SECONDS = 1.0
TELL_SECONDS = 0.002

_INSERT = """
insert into outbox (tenant_id, event_id, subject, payload, traceparent)
select $1, * from unnest($2::uuid[], $3::text[], $4::text[], $5::text[])
"""

_READ = """
select id, event_id::text, subject, payload, traceparent,
    transaction_id < pg_snapshot_xmin(pg_current_snapshot()) as safe,
    extract(epoch from clock_timestamp() - created_at)::float8 as age
from outbox where id <> all($2::bigint[]) order by id limit $1
"""

A = TypeVar("A")
B = TypeVar("B")
Rows: TypeAlias = "list[asyncpg.Record]"


Encoded: TypeAlias = "list[tuple[UUID, str, str]]"
"""Of each event its id, its subject and its text."""


async def record(connection: Connection, tenant_id: UUID, new: Sequence[NewEvent]) -> None:
    """Writes events into the outbox of the transaction that is open."""
    await write(connection, tenant_id, encode(tenant_id, new))


def encode(tenant_id: UUID, new: Sequence[NewEvent]) -> Encoded:
    """Events as the outbox keeps them."""
    now = clock.now()
    return [events.encode(tenant_id, event, now) for event in new]


async def write(connection: Connection, tenant_id: UUID, encoded: Encoded) -> None:
    """Writes encoded events into the outbox of the transaction that is open."""
    if not encoded:
        return
    trace = tracing.traceparent()
    await connection.execute(
        _INSERT,
        tenant_id,
        [event_id for event_id, _, _ in encoded],
        [subject for _, subject, _ in encoded],
        [payload for _, _, payload in encoded],
        [trace] * len(encoded),
    )
    announce(connection)


class Found(NamedTuple):
    """The next rows that may be published, and whether others wait for an older transaction to end."""

    safe: Rows
    waiting: bool


class Relay:
    """Publishes a service's outbox to the stream, in commit order, for as long as it holds the service's lock."""

    def __init__(self, service: str, database: Database, bus: Bus, registry: CollectorRegistry) -> None:
        self._service = service
        self._database = database
        self._bus = bus
        self._wake = asyncio.Event()
        self._leads = False
        self._telling: asyncio.Task[None] | None = None
        database.announced.append(self._committed)
        self._published = Counter("outbox_published_total", "Events published from the outbox", registry=registry)
        self._oldest = Gauge("outbox_oldest_seconds", "Age of the event that waits longest", registry=registry)

    async def run(self) -> None:
        """Runs for ever, beginning anew after any failure."""
        self._bus.listen(f"outbox.{self._service}", self._hear)
        await keep_running("outbox relay", self._lead, cap=1.0)

    async def _lead(self) -> None:
        connection = await self._database.connect()
        try:
            if not await connection.fetchval("select pg_try_advisory_lock(hashtext($1))", f"relay {self._service}"):
                self._oldest.set(0)  # Whoever leads tells.
                return
            self._leads, looked = True, time.monotonic()
            while not connection.is_closed():
                await self._drain()
                await woken(self._wake, POLL_SECONDS)
                if time.monotonic() - looked > POLL_SECONDS:
                    await connection.execute("select 1")
                    looked = time.monotonic()
        finally:
            self._leads = False
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=2)

    def _committed(self) -> None:
        """Events were committed in this process; the relay that leads shall know."""
        self._wake.set()
        if not self._leads and self._telling is None:
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        await asyncio.sleep(TELL_SECONDS)  # One word for all that are committed meanwhile.
        self._telling = None
        with suppress(Unavailable, nats.errors.Error, OSError):
            await self._bus.client.publish(f"outbox.{self._service}")

    async def _hear(self, _: bytes) -> None:
        self._wake.set()

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
        """How many were published, and whether rows wait for an older transaction to end.

        Behind a full batch more is expected: while it is on its way to the stream, the one before it is deleted and the
        next is read.
        """
        total = 0
        done: Rows = []
        found = await self._turn(done, [])
        while found.safe or done:
            total += len(found.safe)
            if len(found.safe) == BATCH:
                found, done = await _both(self._turn(done, found.safe), self._publish(found.safe))
            else:
                found, done = await self._turn([*done, *await self._publish(found.safe)], []), []
        return total, found.waiting

    async def _turn(self, done: Rows, under_way: Rows) -> Found:
        """Deletes what is done, and gives what is next."""
        ids = [row["id"] for row in done]
        # What a crash brings back is published again, as by a crash before it was deleted: nobody waits for the disk.
        async with self._database.relay(f"millrace_{self._service}_relay", durable=False) as connection:
            # Read first: a transaction that has deleted has an id of its own, which later ones would wait for.
            rows = await connection.fetch(_READ, BATCH, ids + [row["id"] for row in under_way])
            if ids:
                await connection.execute("delete from outbox where id = any($1)", ids)
        oldest = [*under_way[:1], *rows[:1]]
        self._oldest.set(oldest[0]["age"] if oldest else 0)
        safe = list(takewhile(itemgetter("safe"), rows))
        return Found(safe, len(safe) < len(rows))

    async def _publish(self, rows: Rows) -> Rows:
        if rows:
            await self._bus.publish(
                [Outgoing(r["subject"], r["payload"].encode(), r["event_id"], r["traceparent"]) for r in rows]
            )
            self._published.inc(len(rows))
        return rows


async def _both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """The results of both; when one fails the other is waited for nevertheless."""
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    for result in (other, one):
        if isinstance(result, BaseException):
            raise result
    return cast("tuple[A, B]", (one, other))

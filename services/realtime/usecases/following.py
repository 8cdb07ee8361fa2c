"""All tenants' changes of records, in order, for what is made of them durably.

One process at a time leads (an advisory lock chooses it). It reads the stream after a position that is kept in the
database, and moves the position when everything up to it is written. So a crash at any point, and even two that lead
for a moment, only read something twice; what is written for an event is written once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import groupby
from uuid import UUID

import asyncpg
import msgspec
import structlog

from libs.common import events
from libs.common.bus import Bus
from libs.common.errors import AppError
from libs.common.postgres import Database
from libs.common.resilience import keep_running, woken
from services.realtime.domain.changes import Change, Recorded
from services.realtime.storage import positions, stream

NAME = "changes"
POLL_SECONDS = 1.0
TOGETHER_SECONDS = 0.05
"""What changes within so long of changes that were just taken is taken together."""
BATCH = 200
log = structlog.get_logger()


class Happened(msgspec.Struct, frozen=True):
    """A change, the id of its event, and the event's own text."""

    event_id: UUID
    tenant_id: UUID
    change: Change
    payload: bytes


Take = Callable[[UUID, Sequence[Happened]], Awaitable[None]]


class Following:
    """Hands every change to `takers`, a tenant's together, in order; again after a failure."""

    def __init__(self, bus: Bus, database: Database, takers: Sequence[Take]) -> None:
        self._bus = bus
        self._database = database
        self._takers = takers
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Runs for ever."""
        self._bus.on_move(self._wake.set)
        await keep_running("changes", self._lead, cap=1.0)

    async def _lead(self) -> None:
        await self._bus.ready()
        connection = await self._database.connect()
        try:
            if await connection.fetchval("select pg_try_advisory_lock(hashtext('realtime changes'))"):
                await self._follow(connection)
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=2)

    async def _follow(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        position, looked = await self._begin(), time.monotonic()
        while not connection.is_closed():
            self._wake.clear()
            position, taken = await self._batch(position)
            if taken < BATCH:
                await (asyncio.sleep(TOGETHER_SECONDS) if taken else woken(self._wake, POLL_SECONDS))
            if time.monotonic() - looked > POLL_SECONDS:
                await connection.execute("select 1")
                looked = time.monotonic()

    async def _begin(self) -> int:
        bounds = await stream.bounds(self._bus)
        async with self._database.system() as connection:
            await positions.begin(connection, NAME, bounds.last)
            position = await positions.read(connection, NAME) or 0
            if position > bounds.last and await stream.ends_before(self._bus, position):
                await positions.reset(connection, NAME, bounds.first - 1)
                position = bounds.first - 1
        if position + 1 < bounds.first:
            await log.aerror("changes were lost before they were taken", position=position, first=bounds.first)
        return position

    async def _batch(self, position: int) -> tuple[int, int]:
        """The position that was reached, and how many changes were taken."""
        stored = await stream.read(self._bus, None, position, BATCH)
        if not stored:
            return position, 0
        found = [it for one in stored if (it := happened(one.seq, one.payload)) is not None]
        found.sort(key=lambda it: it.tenant_id)  # stable: each tenant's stay in order
        for tenant_id, some in groupby(found, key=lambda it: it.tenant_id):
            batch = list(some)
            for take in self._takers:
                await _given(take, tenant_id, batch)
        async with self._database.system() as connection:
            await positions.advance(connection, NAME, stored[-1].seq)
        return stored[-1].seq, len(stored)


async def _given(take: Take, tenant_id: UUID, batch: Sequence[Happened]) -> None:
    """Hands changes over; what cannot be taken though all that is needed is there is left out, and holds up no other.

    Whatever is away (`AppError`) is waited for by failing here.
    """
    try:
        return await take(tenant_id, batch)
    except AppError:
        raise
    except Exception as error:
        if len(batch) == 1:
            seq = batch[0].change.seq
            await log.aerror("a change could not be taken", seq=seq, tenant=str(tenant_id), error=repr(error))
            return
    for one in batch:
        await _given(take, tenant_id, [one])


def happened(seq: int, payload: bytes) -> Happened | None:
    """The change of an event; None where it cannot be read, which is logged."""
    try:
        event = events.decode(payload, Recorded, seq)
        change = Change(seq, event.type.rpartition(".")[2], event.time, event.data)
    except msgspec.MsgspecError as error:
        log.error("a change could not be read", seq=seq, error=repr(error))
        return None
    return Happened(event.id, event.tenant_id, change, payload)

"""Lets marked records follow: each by itself, in a transaction that waits for who writes it and holds nothing else.
Sees to it as well that there are jobs for values that were put off (`lagging`).
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import asyncpg
import msgspec

from libs.common import clock
from libs.common.errors import AppError
from libs.common.ids import NIL
from libs.common.postgres import Database
from libs.common.resilience import end, keep_running, woken
from services.records.domain.definitions import By
from services.records.domain.jobs import Job
from services.records.storage import computing, records
from services.records.storage import lagging as storage
from services.records.storage.lagging import Lag
from services.records.usecases import lagging
from services.records.usecases.following import Follower
from services.records.usecases.heavy import Heavy
from services.records.usecases.reshaping import principal

POLL_SECONDS = 5.0
MAX_REST_SECONDS = 2.0
"""After each round others have as much time as it took, and what changes meanwhile is computed once."""
BATCH = 200
START = Lag(NIL, NIL)
MAX_AT_ONCE = 200
"""So many records whoever marked them lets follow before they are answered; the others follow a little later."""


async def settle(database: Database, tenant_id: UUID, pipeline_id: UUID, record_id: UUID, heavy: Heavy) -> None:
    """Lets a record follow, unless another has seen to it."""
    async with database.tenant(tenant_id) as connection:
        rows = await records.lock_any(connection, tenant_id, [record_id])
        marks = await computing.unmark(connection, tenant_id, record_id)
        if not marks or not rows:
            return
        by = principal(tenant_id, msgspec.convert(marks[-1], By))
        follower = Follower(connection, tenant_id, by, clock.now(), heavy)
        await follower.compute(pipeline_id, [record_id])
        await follower.follow([it for _, it in follower.changes], fresh={record_id})
        await follower.tell()


async def settle_all(database: Database, tenant_id: UUID, marked: Sequence[tuple[UUID, UUID]], heavy: Heavy) -> None:
    """Lets records follow, by pipeline and id."""
    for pipeline_id, record_id in list(dict.fromkeys(marked))[:MAX_AT_ONCE]:
        await settle(database, tenant_id, pipeline_id, record_id, heavy)


class Settler:
    """Looks for marks and for what was put off, in every process; two that find the same do it once."""

    def __init__(self, database: Database, heavy: Heavy) -> None:
        self._database = database
        self._heavy = heavy
        self._wake = asyncio.Event()
        self._place = START
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(keep_running("computed values", self._look))

    async def stop(self) -> None:
        """Ends; what is marked is left to others."""
        if self._task is not None:
            await end([self._task])

    async def _look(self) -> None:
        listener = await self._database.connect()
        try:
            await listener.add_listener("computed", lambda *_: self._wake.set())
            while True:
                self._wake.clear()
                more = True
                while more:
                    began = time.monotonic()
                    more = await self.round()
                    await asyncio.sleep(min(MAX_REST_SECONDS, time.monotonic() - began))
                await woken(self._wake, POLL_SECONDS)
                await listener.execute("select 1")
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await listener.close(timeout=2)

    async def heed(self, job: Job) -> None:
        """Looks at once whether something was put off while a job that computes values came to its end."""
        self._wake.set()

    async def round(self) -> bool:
        """Lets some records follow, and begins jobs for some pipelines; whether there may be more."""
        marked = await computing.marked(self._database, BATCH)
        for it in marked:
            with suppress(AppError):
                await settle(self._database, it.tenant_id, it.pipeline_id, it.record_id, self._heavy)
        late = await storage.pipelines(self._database, self._place, BATCH)
        self._place = late[-1] if len(late) == BATCH else START
        for lag in late:
            with suppress(AppError):
                await lagging.begin(self._database, lag)
        return BATCH in (len(marked), len(late))

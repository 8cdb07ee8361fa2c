"""Builds and drops the indexes that pipelines want, one at a time, in one process of all."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import asyncpg
import structlog

from libs.common.postgres import Connection
from libs.common.resilience import end, keep_running, woken
from libs.common.settings import Latest
from services.records.domain.definitions import Definition
from services.records.domain.indexes import Room, wanted
from services.records.domain.resting import Resting
from services.records.storage import indexes

MAX_BUILT = 500
MAX_DERIVED = 300
DERIVED_PAGE = 50
POLL_SECONDS = 10.0
PAGE = 200
REST_SECONDS = 3600.0
"""For so long a derived index stays when no view speaks of its field: the next may, and a build reads all records."""
NIL = UUID(int=0)

log = structlog.get_logger()


async def want(connection: "Connection | indexes.Builder", tenant_id: UUID, definition: Definition) -> None:
    """Notes which indexes a pipeline shall have by its definition and its views."""
    views = await indexes.views(connection, tenant_id, definition.id)
    await indexes.want(connection, tenant_id, definition.id, wanted(definition, views))


class Indexer:
    """A loop on a connection of its own, as the role that owns the tables."""

    def __init__(self, dsn: str | Latest, rest_seconds: float = REST_SECONDS) -> None:
        self._dsn: Latest = dsn if callable(dsn) else lambda: dsn
        self._resting = Resting(rest_seconds)
        self._wake = asyncio.Event()
        self._after = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(keep_running("field indexes", self._lead))

    async def stop(self) -> None:
        """Ends; a build that breaks off is begun anew by the next who leads."""
        if self._task is not None:
            await end([self._task])

    async def _lead(self) -> None:
        builder = await indexes.connect(self._dsn())
        try:
            await builder.add_listener("field_indexes", lambda *_: self._wake.set())
            noted = False
            while True:
                self._wake.clear()
                if await indexes.lead(builder):
                    noted = noted or await self._note(builder)
                    await self._work(builder)
                await woken(self._wake, POLL_SECONDS)
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await builder.close(timeout=2)

    async def _note(self, builder: indexes.Builder) -> bool:
        """Notes the indexes that definitions want which were there before there was a builder."""
        after = NIL, NIL
        while found := await indexes.defined(builder, after, PAGE):
            for tenant_id, definition in found:
                async with builder.transaction():
                    await want(builder, tenant_id, definition)
            after = found[-1][0], found[-1][1].id
        return True

    async def _work(self, builder: indexes.Builder) -> None:
        await indexes.drop_orphans(builder)
        now = time.monotonic()
        wishes = await indexes.open_indexes(builder, self._resting.names(now))
        for index in wishes:
            if not index.wanted and await self._over(builder, index, now):
                await indexes.drop(builder, index)
        await self._build(builder, [index for index in wishes if index.wanted])
        await self._build(builder, await self._worth(builder))

    async def _over(self, builder: indexes.Builder, index: indexes.Open, now: float) -> bool:
        """Whether an index that is not wanted is to go; a derived one that was built rests before."""
        rests = index.derived and await indexes.is_valid(builder, index.name)
        return not rests or self._resting.over(index.name, now)

    async def _worth(self, builder: indexes.Builder) -> list[indexes.Open]:
        """Those of the next derived indexes that are worth it; a page in each round, so all have their turn."""
        found = await indexes.open_derived(builder, self._after, DERIVED_PAGE)
        self._after = found[-1].name if len(found) == DERIVED_PAGE else ""
        return [index for index in found if await indexes.worth(builder, index)]

    async def _build(self, builder: indexes.Builder, wishes: Sequence[indexes.Open]) -> None:
        if not wishes:
            return
        there, resting = await indexes.built(builder), len(self._resting)
        every = Room(MAX_BUILT - resting, {it.tenant_id: it.every for it in there})
        derived = Room(MAX_DERIVED - resting, {it.tenant_id: it.derived for it in there})
        done = [index for index in wishes if self._resting.wake(index.name)]
        for index in wishes:
            rooms = (every, derived) if index.derived else (every,)
            if index not in done and all(room.left(index.tenant_id) > 0 for room in rooms):
                done.append(index)
                for room in rooms:
                    room.take(index.tenant_id)
        built = [index for index in done if await indexes.build(builder, index)]
        for index in built:
            await log.ainfo("field index built", index=index.name, pipeline=str(index.pipeline_id))
        if built:
            await indexes.learn(builder)
        await indexes.mark_ready(builder, done)

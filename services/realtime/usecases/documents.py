"""The shared documents that somebody on this node has open."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from uuid import UUID

from libs.common.bus import Bus
from libs.common.postgres import Database
from services.realtime.storage.documents import Key
from services.realtime.usecases.rooms import Bounds, Room


class Documents:
    """Opens a document for the first who wants it on this node, and closes it after the last."""

    def __init__(self, bus: Bus, database: Database, bounds: Bounds) -> None:
        self._bus = bus
        self._database = database
        self._bounds = bounds
        self._rooms: dict[Key, Room] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def opened(self, key: Key, pipeline_id: UUID, text: str, position: int) -> AsyncIterator[Room]:
        """The room of a document, begun with a text that was read after a position where there is none yet."""
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = Room(key, self._bus, self._database, self._bounds)
        room.users += 1
        try:
            await room.open(pipeline_id, text, position)
            yield room
        finally:
            room.users -= 1
            if not room.users:
                del self._rooms[key]
                self._soon(room.close())

    async def stop(self) -> None:
        """Waits until what was closed is closed."""
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _soon(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

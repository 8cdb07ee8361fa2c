"""Connections to PostgreSQL that are handed out in the order in which they were asked for."""

import asyncio
from typing import NamedTuple, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
WAIT_SECONDS = 5.0


class Use(NamedTuple):
    """How many connections there are at most, how many are in use, and how many wait for one."""

    most: int
    taken: int
    waiting: int


class Connections:
    """A pool with a queue before it.

    The pool gives a connection to whoever asks at the moment when one is free; who has waited for it then waits again,
    behind all others. Here nobody is overtaken.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", size: int) -> None:
        self._pool = pool
        self._size = size
        self._taken = self._waiting = 0
        self._free = asyncio.Semaphore(size)
        self._places = asyncio.Semaphore(size)

    async def take(self) -> Connection:
        """A connection; waits five seconds at most, and needs no timer where one is idle."""
        self._waiting += 1
        try:
            await _enter(self._free)
        finally:
            self._waiting -= 1
        self._taken += 1
        try:
            return await self._pool.acquire(timeout=None if self._pool.get_idle_size() else WAIT_SECONDS)
        except BaseException:
            self._leave()
            raise

    async def give(self, connection: Connection) -> None:
        """Takes a connection back."""
        try:
            await self._pool.release(connection)
        finally:
            self._leave()

    def _leave(self) -> None:
        self._taken -= 1
        self._free.release()

    @property
    def use(self) -> Use:
        """How they are used at this moment."""
        return Use(self._size, self._taken, self._waiting)

    async def enter(self) -> None:
        """Waits for one of as many places as there are connections: who asks several times within it queues once."""
        await _enter(self._places)

    def leave(self) -> None:
        """Leaves the place to the next."""
        self._places.release()

    async def close(self) -> None:
        """Closes them when they were given back."""
        await self._pool.close()

    def terminate(self) -> None:
        """Closes them at once."""
        self._pool.terminate()


async def _enter(places: asyncio.Semaphore) -> None:
    if places.locked():
        async with asyncio.timeout(WAIT_SECONDS):
            await places.acquire()
    else:
        await places.acquire()

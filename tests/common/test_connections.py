"""Connections of a pool, and the queue before it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from libs.common.connections import Connection, Connections
from tests.support.postgres import Database

SIZE = 2


@pytest.fixture
async def connections(database: Database) -> AsyncIterator[Connections]:
    """Two of them."""
    pool = await asyncpg.create_pool(database.dsn("pipelines"), min_size=0, max_size=SIZE)
    yield Connections(pool, SIZE)
    await pool.close()


async def test_nobody_is_overtaken(connections: Connections) -> None:
    """Who asks at the moment when a connection is given back comes after all who wait for one."""
    served: list[int] = []

    async def ask(number: int) -> None:
        connection = await connections.take()
        served.append(number)
        await connection.fetchval("select 1")
        await connections.give(connection)

    held = [await connections.take() for _ in range(SIZE)]
    waiting = []
    for number in range(20):
        waiting.append(asyncio.create_task(ask(number)))
        await asyncio.sleep(0)
    for connection in held:
        await connections.give(connection)
        waiting.append(asyncio.create_task(ask(len(waiting))))
    await asyncio.gather(*waiting)
    assert served == list(range(22))


async def test_who_stops_waiting_takes_no_connection_along(connections: Connections) -> None:
    """Whether they were cut off while they waited or at the moment of their turn, all connections are there after."""
    held = [await connections.take() for _ in range(SIZE)]
    waiting = [asyncio.create_task(connections.take()) for _ in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await connections.give(held.pop())
    waiting[1].cancel()
    await asyncio.wait(waiting[:2])
    got: list[Connection] = [await waiting[2]]
    await connections.give(held.pop())
    got.append(await waiting[3])
    assert [task.cancelled() for task in waiting] == [True, True, False, False]
    for connection in got:
        await connections.give(connection)
    held = [await connections.take() for _ in range(SIZE)]
    assert [await connection.fetchval("select 1") for connection in held] == [1] * SIZE
    for connection in held:
        await connections.give(connection)


async def test_use_is_told(connections: Connections) -> None:
    """How many are in use and how many wait, also after someone gave up waiting."""
    assert connections.use == (SIZE, 0, 0)
    held = [await connections.take() for _ in range(SIZE)]
    waiting = [asyncio.create_task(connections.take()) for _ in range(2)]
    await asyncio.sleep(0)
    assert connections.use == (SIZE, SIZE, 2)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    assert connections.use == (SIZE, SIZE, 1)
    for connection in held:
        await connections.give(connection)
    await connections.give(await waiting[1])
    assert connections.use == (SIZE, 0, 0)


async def test_a_place_is_queued_for_once(connections: Connections) -> None:
    """As many have a place as there are connections; the next waits for one to be left, and no longer than it may."""
    for _ in range(SIZE):
        await connections.enter()
    next_ = asyncio.create_task(connections.enter())
    await asyncio.sleep(0)
    assert not next_.done()
    connections.leave()
    await next_


async def test_waiting_has_an_end(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long for a connection or a place is told so, and others have them afterwards."""
    held = [await connections.take() for _ in range(SIZE)]
    for _ in range(SIZE):
        await connections.enter()
    monkeypatch.setattr("libs.common.connections.WAIT_SECONDS", 0.01)
    for waiting in (connections.take, connections.enter):
        with pytest.raises(TimeoutError):
            await waiting()
    monkeypatch.undo()
    await connections.give(held.pop())
    connections.leave()
    await connections.enter()
    await connections.give(await connections.take())
    await connections.give(held.pop())

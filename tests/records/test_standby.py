"""Reads from a standby: one's own writes, positions that are true, and the primary whenever the standby will not do."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common import events, migrate
from services.records.main import build
from services.records.settings import Settings
from tests.records.support import Client, Service, records_service
from tests.support.asgi import running
from tests.support.clusters import Pair, replicated
from tests.support.postgres import PASSWORDS, ROOT, Database
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

FIELD = {"name": "count", "type": "number"}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A server and its standby."""
    with replicated() as made:
        yield made


@pytest.fixture
async def primary(pair: Pair) -> AsyncIterator[Database]:
    """A database of its own on the primary, with the schema of records."""
    name = f"test_{next(_numbers)}"
    async with _connected(pair.primary.server.url) as admin:
        await admin.execute(f"create database {name}")
    database = Database(pair.primary.server, name)
    await migrate.bootstrap(database.admin_dsn, PASSWORDS)
    await migrate.up(database.dsn("migrate"), "records", ROOT / "services" / "records" / "migrations")
    yield database
    async with _connected(pair.standby.server.url) as standby:
        await standby.execute("select pg_wal_replay_resume()")


_numbers = iter(range(1000))


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _service(pair: Pair, primary: Database, nats_url: str, redis_url: str, staleness: float) -> Any:
    url = Database(pair.standby.server, primary.name).dsn("records")
    given = {"replica_database_url": url, "replica_staleness_seconds": staleness}
    async with records_service(primary, nats_url, redis_url, **given) as started:
        await eventually(lambda: _read_elsewhere(started))
        yield started


async def _given(service: Service) -> float:
    """How many reads the standby was given."""
    text = (await service.http.get("/metrics")).text
    return float(text.split("\nstandby_reads_total ")[1].split("\n")[0])


async def _read_elsewhere(service: Service) -> bool:
    before = await _given(service)
    await service.client.get(f"/pipelines/{service.pipeline(FIELD)}/records")
    return await _given(service) > before


async def _counter(service: Service) -> tuple[str, Client]:
    """The path of a record, and somebody who only reads."""
    pipeline = service.pipeline(FIELD)
    record = await service.client.create(pipeline, {"count": 0})
    path = f"/pipelines/{pipeline}/records/{record['id']}"
    reader = service.principal()

    async def there() -> bool:
        return (await reader.get(path)).status_code == 200

    await eventually(there)
    return path, reader


async def _increment(client: Client, path: str) -> int:
    answer = await client.post(f"{path}/increment", {"field": "count", "by": 1})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


async def test_who_has_written_reads_what_they_wrote(
    pair: Pair, primary: Database, nats_url: str, redis_url: str
) -> None:
    """Each read after a write shows it, while others read the standby."""
    async with _service(pair, primary, nats_url, redis_url, 1.0) as service:
        path, reader = await _counter(service)
        before = await _given(service)
        for _ in range(30):
            version = await _increment(service.client, path)
            assert (await service.client.get(path)).json()["version"] == version
            assert (await reader.get(path)).json()["version"] <= version
        assert await _given(service) - before >= 15


async def test_a_position_is_one_that_the_data_contains(
    pair: Pair, primary: Database, nats_url: str, redis_url: str
) -> None:
    """Whatever the standby lags, no event up to a read's position tells of a version newer than the one read."""
    async with _service(pair, primary, nats_url, redis_url, 60.0) as service:
        path, reader = await _counter(service)
        seen: list[tuple[int, int]] = []

        async def read() -> None:
            while True:
                for shape in ("", "?fields=count"):
                    answer = await reader.get(path + shape)
                    seen.append((int(answer.headers["change-seq"]), answer.json()["version"]))

        reading = asyncio.create_task(read())
        async with _connected(pair.standby.server.url) as standby:
            for _ in range(4):
                await standby.execute("select pg_wal_replay_pause()")
                versions = [await _increment(service.client, path) for _ in range(8)]
                await standby.execute("select pg_wal_replay_resume()")
                newest = versions[-1]

                async def caught_up(newest: int = newest) -> bool:
                    return seen[-1][1] >= newest

                await eventually(caught_up)
        reading.cancel()
        told = await _told(service, UUID(path.rpartition("/")[2]))
    assert len({version for _, version in seen}) > 3
    for position, version in seen:
        assert all(of <= version for seq, of in told if seq <= position), (position, version, told)


async def _told(service: Service, record_id: UUID) -> list[tuple[int, int]]:
    """Position and version of each event of a record, when all are there."""
    found: list[tuple[int, int]] = []
    subscription = await service.bus.jetstream.pull_subscribe("evt.*.records.record.*", stream=events.STREAM)
    while len(found) < 33:
        for message in await subscription.fetch(100, timeout=60):
            record = msgspec.json.decode(message.data)["data"]["record"]
            if record["id"] == str(record_id):
                found.append((message.metadata.sequence.stream, record["version"]))
    return found


async def test_one_that_lags_too_far_is_not_read(pair: Pair, primary: Database, nats_url: str, redis_url: str) -> None:
    """Others read what was written within the stated staleness though the standby stands still, and it later again."""
    async with (
        _service(pair, primary, nats_url, redis_url, 0.5) as service,
        _connected(pair.standby.server.url) as standby,
    ):
        path, reader = await _counter(service)
        await standby.execute("select pg_wal_replay_pause()")
        version = await _increment(service.client, path)

        async def fresh() -> bool:
            return bool((await reader.get(path)).json()["version"] == version)

        await eventually(fresh)
        await standby.execute("select pg_wal_replay_resume()")
        await eventually(lambda: _read_elsewhere(service))
        assert await fresh()


async def test_who_asks_for_it_reads_the_newest(pair: Pair, primary: Database, nats_url: str, redis_url: str) -> None:
    """`Cache-Control: no-cache` and a `Min-Change-Seq` that the standby has not reached read the primary."""
    async with (
        _service(pair, primary, nats_url, redis_url, 60.0) as service,
        _connected(pair.standby.server.url) as standby,
    ):
        path, reader = await _counter(service)
        old = int((await reader.get(path)).headers["change-seq"])
        await standby.execute("select pg_wal_replay_pause()")
        version = await _increment(service.client, path)

        async def versions(**headers: str) -> int:
            return int((await reader.get(path, headers=headers)).json()["version"])

        assert await versions() == version - 1
        assert await versions(**{"cache-control": "no-cache"}) == version
        assert await versions(**{"min-change-seq": str(old)}) == version - 1

        async def read_the_newest() -> bool:
            newest = (await reader.get(path, headers={"cache-control": "no-cache"})).headers["change-seq"]
            return await versions(**{"min-change-seq": newest}) == version

        await eventually(read_the_newest)


async def test_a_write_in_one_process_is_known_in_the_others(
    pair: Pair, primary: Database, nats_url: str, redis_url: str
) -> None:
    """Who wrote in one process reads it in another as soon as that was told, though the standby stands still."""
    async with AsyncExitStack() as work:
        first = await work.enter_async_context(_service(pair, primary, nats_url, redis_url, 60.0))
        path, _ = await _counter(first)
        url = Database(pair.standby.server, primary.name).dsn("records")
        given = Settings(
            port=0, database_url=primary.dsn("records"), nats_url=nats_url, redis_url=redis_url,
            files_url=first.files_url, replica_database_url=url, replica_staleness_seconds=60.0,
        )  # fmt: skip
        second = replace(first, http=await work.enter_async_context(running(build(given))))
        await eventually(lambda: _read_elsewhere(second))
        standby = await work.enter_async_context(_connected(pair.standby.server.url))
        there = Client(second.http, first.everything)
        await standby.execute("select pg_wal_replay_pause()")
        version = await _increment(first.client, path)

        async def known() -> bool:
            return bool((await there.get(path)).json()["version"] == version)

        await eventually(known)


async def test_a_standby_that_dies_costs_no_read(pair: Pair, primary: Database, nats_url: str, redis_url: str) -> None:
    """Reads go on through SIGKILL of the standby, and it is read again when it is back."""
    async with _service(pair, primary, nats_url, redis_url, 1.0) as service:
        path, reader = await _counter(service)
        statuses: set[int] = set()

        async def read() -> None:
            while True:
                statuses.add((await reader.get(path)).status_code)

        reading = asyncio.create_task(read())
        pair.standby.kill()
        version = await _increment(service.client, path)
        assert (await reader.get(path)).json()["version"] == version
        pair.standby.start()
        await eventually(lambda: _read_elsewhere(service))
        reading.cancel()
    assert statuses == {200}

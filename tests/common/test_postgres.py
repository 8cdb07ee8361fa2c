import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from libs.common import migrate
from libs.common.errors import Conflict, Unavailable
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database, Lane
from ops.embedded import Postgres
from tests.support.guard import PASSWORD
from tests.support.postgres import PASSWORDS, ROOT
from tests.support.postgres import Database as Clone
from tests.support.servers import Mortal, mortal
from tests.support.waiting import eventually

ONE, OTHER = new_id(), new_id()
WRITE = "insert into inbox (tenant_id, consumer, event_id) values ($1, 'test', $2)"
COUNT = "select count(*) from inbox"


async def note(connection: Connection, tenant_id: UUID) -> None:
    """Write a row of a tenant."""
    await connection.execute(WRITE, tenant_id, new_id())


async def count(db: Database, tenant_id: UUID) -> int:
    """How many rows a tenant has, asked without naming the tenant."""
    async with db.tenant(tenant_id) as connection:
        found: int = await connection.fetchval(COUNT)
    return found


async def test_a_query_that_forgets_the_tenant_leaks_nothing(db: Database) -> None:
    """Without a where clause each tenant sees its own rows, and without a tenant there are none."""
    for tenant_id, rows in ((ONE, 2), (OTHER, 3)):
        async with db.tenant(tenant_id) as connection:
            for _ in range(rows):
                await note(connection, tenant_id)
    assert (await count(db, ONE), await count(db, OTHER), await count(db, new_id())) == (2, 3, 0)
    async with db.system() as connection:
        assert await connection.fetchval(COUNT) == 0


async def test_another_tenants_rows_cannot_be_written(db: Database) -> None:
    """An insert for another tenant is refused, an update or delete of its rows finds none."""
    async with db.tenant(OTHER) as connection:
        await note(connection, OTHER)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with db.tenant(ONE) as connection:
            await note(connection, OTHER)
    async with db.tenant(ONE) as connection:
        assert await connection.execute("update inbox set consumer = 'x'") == "UPDATE 0"
        assert await connection.execute("delete from inbox") == "DELETE 0"
    assert await count(db, OTHER) == 1


async def test_the_tenant_ends_with_the_transaction(database: Clone) -> None:
    """A pool of one connection does not carry a tenant, or a role, into the next transaction."""
    db = Database(database.dsn("pipelines"), pool_size=1)
    await db.start()
    async with db.tenant(ONE) as connection:
        await note(connection, ONE)
    async with db.relay("millrace_pipelines_relay") as connection:
        assert await connection.fetchval("select current_user") == "millrace_pipelines_relay"
    async with db.system() as connection:
        assert await connection.fetchval(COUNT) == 0
        assert await connection.fetchval("select current_user") == "millrace_pipelines"
    await db.stop()


async def test_a_lane_has_connections_with_settings_of_its_own(database: Clone) -> None:
    """What is asked in a lane is planned by its settings, of one tenant, and waits for the lane alone."""
    db = Database(database.dsn("pipelines"), pool_size=6)
    await db.start()
    lane = Lane("narrow", (("enable_seqscan", "off"),))
    async with db.tenant(ONE) as connection:
        await note(connection, ONE)
    asked = """
        select own, scans from tenant cross join lateral (
            select count(1) as own, current_setting('enable_seqscan') as scans from inbox
            where tenant.id is not null offset 0
        ) one
    """
    rows = [await db.look_through(tenant, asked, lane=given) for tenant in (ONE, OTHER) for given in (lane, None)]
    assert [tuple(row) for (row,) in rows] == [(1, "off"), (1, "on"), (0, "off"), (0, "on")]
    held = [await db.acquire(await db.lane(lane)) for _ in range(2)]
    waiting = asyncio.create_task(db.look_through(ONE, asked, lane=lane))
    assert (await db.look_through(ONE, asked))[0]["own"] == 1
    assert not waiting.done()
    await (await db.lane(lane)).give(held[0])
    assert (await waiting)[0]["own"] == 1
    await (await db.lane(lane)).give(held[1])
    await db.stop()
    with pytest.raises(Unavailable):
        await db.look_through(ONE, asked, lane=lane)


async def test_an_error_takes_all_back(db: Database) -> None:
    """Whatever is raised in the block, nothing of it is written, and the error itself arrives."""

    async def work() -> None:
        async with db.tenant(ONE) as connection:
            await note(connection, ONE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert await count(db, ONE) == 0


async def test_a_cancelled_transaction_takes_all_back(db: Database) -> None:
    """A request that is cut off leaves neither rows nor a connection that cannot be used."""
    waiting = asyncio.Event()

    async def work() -> None:
        async with db.tenant(ONE) as connection:
            await note(connection, ONE)
            waiting.set()
            await connection.execute("select pg_sleep(60)")

    tasks = [asyncio.create_task(work()) for _ in range(10)]
    await waiting.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    assert await asyncio.gather(*(count(db, ONE) for _ in range(20))) == [0] * 20


async def test_a_statement_is_bounded(database: Clone) -> None:
    """A statement over its time is 503 with a code of its own."""
    db = Database(database.dsn("pipelines"), statement_seconds=0.05)
    await db.start()
    with pytest.raises(Unavailable) as caught:
        async with db.tenant(ONE) as connection:
            await connection.execute("select pg_sleep(10)")
    assert caught.value.code == "statement-timeout"
    await db.stop()


async def test_a_deadlock_is_a_conflict(db: Database) -> None:
    """Of two transactions that wait for one another one is told to try again, and the other commits."""
    async with db.tenant(ONE) as connection:
        for name in "ab":
            await connection.execute("insert into inbox values ($1, $2, $3)", ONE, name, ONE)
    both = asyncio.Barrier(2)

    async def work(first: str, second: str) -> None:
        async with db.tenant(ONE) as connection:
            await connection.execute("update inbox set handled_at = now() where consumer = $1", first)
            await both.wait()
            await connection.execute("update inbox set handled_at = now() where consumer = $1", second)

    results = await asyncio.gather(work("a", "b"), work("b", "a"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
    assert [result.code for result in results if isinstance(result, Conflict)] == ["busy"]


async def test_nothing_is_connected_at_the_start() -> None:
    """A pool of a server that is not there opens, and each use of it is 503."""
    db = Database("postgres://nobody@127.0.0.1:1/none")
    await db.start()
    with pytest.raises(Unavailable) as caught:
        async with db.tenant(ONE):
            pass
    assert (caught.value.code, caught.value.retry_after) == ("database-unavailable", 2)
    await db.stop()
    with pytest.raises(Unavailable):
        Database("postgres://x").pool  # noqa: B018


@pytest.fixture
def mortal_postgres() -> Iterator[Mortal[Postgres]]:
    """A server of its own that may be killed."""
    with mortal(lambda data, port: Postgres(data, port, PASSWORD)) as found:
        yield found


@pytest.fixture
async def fragile(mortal_postgres: Mortal[Postgres]) -> AsyncIterator[Database]:
    """A pool on a server that may be killed."""
    server = mortal_postgres.server
    await migrate.bootstrap(server.url, PASSWORDS)
    directory = Path(ROOT) / "services/pipelines/migrations"
    await migrate.up(server.dsn("millrace_migrate", PASSWORD, "postgres"), "pipelines", directory)
    db = Database(server.dsn("millrace_pipelines", PASSWORD, "postgres"))
    await db.start()
    yield db
    await db.stop()


async def test_the_pool_survives_its_server(fragile: Database, mortal_postgres: Mortal[Postgres]) -> None:
    """Killed in the midst of transactions, the server is 503; back again, it is used without a restart of ours."""

    async def stay() -> None:
        async with fragile.tenant(ONE) as connection:
            await note(connection, ONE)
            both.set()
            await connection.execute("select pg_sleep(60)")

    both = asyncio.Event()
    await count(fragile, ONE)
    inside = [asyncio.create_task(stay()) for _ in range(5)]
    await both.wait()
    mortal_postgres.kill()
    results = await asyncio.wait_for(asyncio.gather(*inside, return_exceptions=True), 60)
    assert {type(result) for result in results} == {Unavailable}
    with pytest.raises(Unavailable):
        await count(fragile, ONE)
    mortal_postgres.start()

    async def back() -> bool:
        try:
            return await count(fragile, ONE) == 0
        except Unavailable:
            return False

    await eventually(back)
    assert await asyncio.gather(*(count(fragile, ONE) for _ in range(20))) == [0] * 20


async def test_a_commit_that_was_not_heard_is_no_success(
    db: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A connection that ends before the commit raises, whatever the block thought it had done."""

    async def work() -> None:
        async with db.tenant(ONE) as connection:
            await note(connection, ONE)
            await admin.execute("select pg_terminate_backend($1)", connection.get_server_pid())

    with pytest.raises(Unavailable):
        await work()
    assert await count(db, ONE) == 0

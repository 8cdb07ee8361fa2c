"""A service's database and bus as a process has them, on real servers."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from libs.common.postgres import Database
from ops.embedded import Nats
from tests.support.postgres import Database as Clone
from tests.support.servers import Mortal, mortal


@pytest.fixture
async def db(database: Clone) -> AsyncIterator[Database]:
    """The pool of a service that has an outbox."""
    pool = Database(database.dsn("pipelines"))
    await pool.start()
    yield pool
    await pool.stop()


@pytest.fixture
async def admin(database: Clone) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A look behind the service, past row level security."""
    connection = await asyncpg.connect(database.admin_dsn, server_settings={"search_path": "pipelines"})
    yield connection
    await connection.close()


@pytest.fixture
def mortal_nats() -> Iterator[Mortal[Nats]]:
    """A broker that may be killed; what it acknowledged is on its disk."""
    with mortal(lambda data, port: Nats(data, port)) as found:
        yield found

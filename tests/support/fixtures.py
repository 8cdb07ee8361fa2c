"""Fixtures: real servers, a database per test, the whole platform per worker, a tenant in it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ops.embedded import Nats, Postgres, Valkey, running
from ops.embedded.server import ask
from tests.support import postgres
from tests.support.postgres import Database


@pytest.fixture(scope="session")
def postgres_server() -> Postgres:
    """The PostgreSQL of this test run, shared by all workers."""
    return postgres.shared_server()


@pytest.fixture(scope="session")
def database_template(postgres_server: Postgres) -> Postgres:
    """The server, once the migrated template is in it."""
    # A session fixture has no event loop of its own, and must not end the one of pytest-asyncio.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(postgres.make_template(postgres_server))).result()
    return postgres_server


@pytest.fixture
async def database(database_template: Postgres) -> AsyncIterator[Database]:
    """A migrated database for this test alone: `admin_dsn`, `dsn("records")`."""
    async with postgres.cloned(database_template) as clone:
        yield clone


@pytest.fixture
def nats_server() -> Iterator[Nats]:
    """A NATS server with JetStream for this test alone."""
    with running(lambda data, port: Nats(data, port, durable=False)) as server:
        yield server


@pytest.fixture
def nats_url(nats_server: Nats) -> str:
    """The URL of this test's NATS server."""
    return nats_server.url


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """A Valkey server for this worker."""
    with running(lambda data, port: Valkey(data, port, durable=False)) as server:
        yield server


@pytest.fixture
def redis_url(valkey_server: Valkey) -> str:
    """The URL of this worker's Valkey, emptied."""
    assert ask(valkey_server.port, b"FLUSHALL\r\n") == b"+OK\r\n"
    return valkey_server.url

"""Fixtures: real servers, a database per test, the whole platform per worker, a tenant in it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from libs.common.bus import Bus
from ops.embedded import Nats, Postgres, Valkey, running
from ops.embedded.server import ask
from tests.support import logs, platform, postgres
from tests.support.platform import Platform, Tenant
from tests.support.postgres import Database

T = TypeVar("T")

# Identity providers of tests are on loopback.
ENVIRONMENT = {"RATE_LIMITS": "off", "OUTWARD_PRIVATE_ADDRESSES": "true"}


@pytest.fixture(scope="session")
def postgres_server() -> Postgres:
    """The PostgreSQL of this test run, shared by all workers."""
    return postgres.shared_server()


@pytest.fixture(scope="session")
def database_template(postgres_server: Postgres) -> Postgres:
    """The server, once the migrated template is in it."""
    _run(postgres.make_template(postgres_server))
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


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection to this test's broker, as another process has it."""
    bus = Bus(nats_url, "peer")
    await bus.start()
    await bus.ready()
    yield bus
    await bus.stop()


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


@pytest.fixture(scope="session")
def stack(database_template: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole platform of this worker, through the code that `task up` uses; tests share it by tenants."""
    database = _run(postgres.clone(database_template))
    try:
        with platform.platform(database, tmp_path_factory.mktemp("platform"), **ENVIRONMENT) as running_platform:
            yield running_platform
            told = logs.faults(running_platform.stack)
            assert told == [], "the logs of this run tell what they must not:\n" + "\n".join(told[:20])
    finally:
        _run(postgres.drop(database))


@pytest.fixture
async def tenant(stack: Platform) -> AsyncIterator[Tenant]:
    """A fresh tenant whose owner is signed in."""
    async with platform.signed_up(stack.url) as fresh:
        yield fresh


@pytest.fixture
async def other_tenant(stack: Platform) -> AsyncIterator[Tenant]:
    """A second fresh tenant, to whom nothing of the first may be visible."""
    async with platform.signed_up(stack.url) as fresh:
        yield fresh


def _run(work: Coroutine[None, None, T]) -> T:
    # A session fixture has no event loop of its own, and must not end the one of pytest-asyncio.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()

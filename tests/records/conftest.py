"""The records service on real servers, for each test anew."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from ops.embedded import Nats, Postgres
from tests.records.support import Service, records_service
from tests.support import postgres
from tests.support.postgres import Database


@pytest.fixture
async def service(database: Database, nats_url: str, redis_url: str) -> AsyncIterator[Service]:
    """The service, with a tenant in it."""
    async with records_service(database, nats_url, redis_url) as started:
        yield started


@pytest.fixture
def loop(database_template: Postgres, nats_server: Nats, redis_url: str) -> Iterator[tuple[asyncio.Runner, Service]]:
    """A loop that synchronous code drives, and the service in it."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        clone = runner.run(stack.enter_async_context(postgres.cloned(database_template)))
        service = runner.run(stack.enter_async_context(records_service(clone, nats_server.url, redis_url)))
        yield runner, service
        runner.run(stack.aclose())

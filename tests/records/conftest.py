"""The records service on real servers, for each test anew."""

from collections.abc import AsyncIterator

import pytest

from tests.records.support import Service, records_service
from tests.support.postgres import Database


@pytest.fixture
async def service(database: Database, nats_url: str, redis_url: str) -> AsyncIterator[Service]:
    """The service, with a tenant in it."""
    async with records_service(database, nats_url, redis_url) as started:
        yield started

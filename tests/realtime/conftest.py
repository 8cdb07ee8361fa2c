from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from libs.common.bus import Bus
from libs.common.ids import new_id
from services.realtime.settings import Settings
from tests.realtime.support import Node, World, running_node
from tests.support.issuer import issuing
from tests.support.postgres import Database


@pytest.fixture
def tenant() -> UUID:
    """A tenant of this test alone."""
    return new_id()


@pytest.fixture
def settings(database: Database, nats_url: str, redis_url: str) -> Settings:
    """The settings of a node."""
    return Settings(
        port=0, database_url=database.dsn("realtime"), nats_url=nats_url, redis_url=redis_url,
        sealing_secret="sealing-secret-of-tests", webhook_local=True, webhook_retry_seconds="0.2,0.2,0.2,30",
    )  # fmt: skip


@pytest.fixture
async def world(nats_url: str, tenant: UUID) -> AsyncIterator[World]:
    """What the other services say."""
    async with issuing(nats_url) as issuer:
        bus = Bus(nats_url, "test world")
        await bus.start()
        world = World(bus, issuer, tenant)
        world.answer()
        await bus.ready()
        await bus.client.flush()
        yield world
        await bus.stop()


@pytest.fixture
async def node(settings: Settings, world: World) -> AsyncIterator[Node]:
    """A running node."""
    async with running_node(settings) as node:
        yield node

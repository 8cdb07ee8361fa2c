from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from libs.common.bus import Bus
from libs.common.ids import new_id
from services.realtime.settings import Settings
from tests.realtime.support import Node, World, running_node
from tests.support.issuer import issuing
from tests.support.postgres import Database
from tests.support.waiting import PATIENCE

_DEADLINES = ("usecases.records.SECONDS", "usecases.hub.BEGIN_SECONDS", "storage.stream.SECONDS")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes wait for answers as long as tests do, however busy the machine is; what is away says so all the same."""
    ask = Bus.request

    async def request(self: Bus, subject: str, question: object, answer: type[Any], *, seconds: float = 0.0) -> Any:
        return await ask(self, subject, question, answer, seconds=max(seconds, PATIENCE))

    monkeypatch.setattr(Bus, "request", request)
    for name in _DEADLINES:
        monkeypatch.setattr(f"services.realtime.{name}", PATIENCE)


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
        authenticate_seconds=PATIENCE, presence_lease_seconds=PATIENCE,
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

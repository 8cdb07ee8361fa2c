"""The service in this process, on a database and a broker of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest

from libs.common.bus import Bus
from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.pipelines.main import build
from services.pipelines.settings import Settings
from tests.support.asgi import running
from tests.support.issuer import Issuer, issuing
from tests.support.postgres import Database

NAME = {"name": "name", "type": "text"}
Json = dict[str, Any]


@dataclass
class Service:
    """The running service, with who signs tokens for it and a client that is the owner of a tenant."""

    client: httpx.AsyncClient
    issuer: Issuer
    tenant: UUID

    def as_user(self, *grants: Grant, tenant: UUID | None = None) -> dict[str, str]:
        """The header of another user; of the same tenant unless another is named."""
        return self.issuer.headers(tenant or self.tenant, *grants)

    async def create(self, name: str = "Deals", *fields: Json, **more: Any) -> Json:
        """A pipeline that was made."""
        body = {"name": name, "schema_definition": {"fields": list(fields) or [NAME]}, **more}
        answer = await self.client.post("/pipelines", json=body)
        assert answer.status_code == 201, answer.text
        document: Json = answer.json()
        return document

    async def refused(self, *fields: Any, **more: Any) -> set[tuple[str, str]]:
        """Pointer and code of each fault of a pipeline that was not made."""
        body = {"name": "Deals", "schema_definition": {"fields": list(fields)}, **more}
        answer = await self.client.post("/pipelines", json=body)
        assert answer.status_code == 422, answer.text
        return {(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]}


@pytest.fixture
async def service(database: Database, nats_url: str, redis_url: str) -> AsyncIterator[Service]:
    """The service, ready, and its issuer."""
    settings = Settings(port=0, database_url=database.dsn("pipelines"), nats_url=nats_url, redis_url=redis_url)
    async with issuing(nats_url) as issuer, running(build(settings), "http://test/api/v1") as client:
        tenant = new_id()
        client.headers.update(issuer.headers(tenant))
        await _ready(client)
        yield Service(client, issuer, tenant)


async def _ready(client: httpx.AsyncClient) -> None:
    from tests.support.waiting import eventually

    async def ready() -> bool:
        return (await client.get("http://test/health")).json()["status"] == "ok"

    await eventually(ready)


@pytest.fixture
async def bus(nats_url: str, service: Service) -> AsyncIterator[Bus]:
    """Another connection to the service's broker."""
    bus = Bus(nats_url, "test")
    await bus.start()
    await bus.ready()
    yield bus
    await bus.stop()


Ask = Callable[..., Awaitable[Any]]

"""The service in this process, on a database and a broker of its own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from libs.common import events
from libs.common.bus import Bus
from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.pipelines.main import build
from services.pipelines.settings import Settings
from tests.support.asgi import running
from tests.support.issuer import Issuer, issuing
from tests.support.postgres import Database
from tests.support.waiting import eventually

NAME = {"name": "name", "type": "text"}
Json = dict[str, Any]


@dataclass
class Service:
    """The running service, with who signs tokens for it, and a client that may do all in a tenant."""

    client: httpx.AsyncClient
    issuer: Issuer
    tenant: UUID
    database: Database

    def user(self, *grants: Grant, tenant: UUID | None = None) -> dict[str, str]:
        """The header of another user; of the same tenant unless another is named."""
        return self.issuer.headers(tenant or self.tenant, *grants)

    async def create(self, name: str = "Deals", *fields: Json, **more: Any) -> Json:
        """A pipeline that was made."""
        body = {"name": name, "schema_definition": {"fields": list(fields) or [NAME]}, **more}
        answer = await self.client.post("/pipelines", json=body)
        assert answer.status_code == 201, answer.text
        document: Json = answer.json()
        return document

    async def read(self, pipeline: Json) -> Json:
        """A pipeline as it is now."""
        document: Json = (await self.client.get(f"/pipelines/{pipeline['id']}")).json()
        return document

    async def patch(self, path: str, body: Json, status: int = 200, **headers: str) -> Json:
        """The answer to a patch, which has this status."""
        answer = await self.client.patch(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        document: Json = answer.json()
        return document


@pytest.fixture
async def service(database: Database, nats_url: str, redis_url: str) -> AsyncIterator[Service]:
    """The service, ready, and its issuer."""
    settings = Settings(port=0, database_url=database.dsn("pipelines"), nats_url=nats_url, redis_url=redis_url)
    async with issuing(nats_url) as issuer, running(build(settings), "http://test/api/v1") as client:
        tenant = new_id()
        client.headers.update(issuer.headers(tenant))
        await _ready(client)
        yield Service(client, issuer, tenant, database)


async def _ready(client: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        return bool((await client.get("http://test/health")).json()["status"] == "ok")

    await eventually(ready)


@pytest.fixture
async def admin(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A look behind the service, past row level security."""
    connection = await asyncpg.connect(database.admin_dsn)
    yield connection
    await connection.close()


async def announced(bus: Bus, count: int) -> list[events.Event[Any]]:
    """The first events of the stream, once there are so many."""

    async def published() -> bool:
        return (await bus.jetstream.stream_info(events.STREAM)).state.messages >= count

    await eventually(published)
    messages = [await bus.jetstream.get_msg(events.STREAM, seq) for seq in range(1, count + 1)]
    return [events.decode(message.data or b"", Any, message.seq or 0) for message in messages]


def faults(answer: Json) -> set[tuple[str, str]]:
    """Pointer and code of each fault of a problem document."""
    return {(fault["pointer"], fault["code"]) for fault in answer["errors"]}


def as_json(value: object) -> Any:
    """What a value becomes on the wire."""
    return msgspec.json.decode(msgspec.json.encode(value))

"""The records service alone, on real servers: principals and definitions are answered by the test."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import httpx
import msgspec

from libs.common.bus import Bus, Outgoing
from libs.common.errors import Forbidden, NotFound
from libs.common.events import NewEvent, encode
from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.records.domain.definitions import Definition, Field, RelationshipType
from services.records.main import build
from services.records.settings import Settings
from tests.support.asgi import running
from tests.support.issuer import Issuer, issuing
from tests.support.postgres import Database
from tests.support.waiting import PATIENCE, eventually


class DefinitionQuestion(msgspec.Struct):
    """Which definition is asked for."""

    tenant_id: UUID
    pipeline_id: UUID


class TypeQuestion(msgspec.Struct):
    """Which relationship type is asked for, and may be made."""

    token: str
    name: str
    source_pipeline: UUID
    target_pipeline: UUID


@dataclass
class Definitions:
    """Stands in for `pipelines` on a real NATS."""

    bus: Bus
    pipelines: dict[tuple[UUID, UUID], Definition] = field(default_factory=dict)
    types: dict[str, RelationshipType] = field(default_factory=dict)
    asked: int = 0
    types_may_be_made: bool = True

    def pipeline(self, tenant_id: UUID, *fields: dict[str, Any], **options: Any) -> UUID:
        """A new pipeline with these fields."""
        pipeline_id = options.pop("id", None) or new_id()
        known = self.pipelines.get((tenant_id, pipeline_id))
        version = known.version + 1 if known else 1
        read = tuple(msgspec.convert(one, Field) for one in fields)
        self.pipelines[tenant_id, pipeline_id] = Definition(pipeline_id, "Test", version, read, **options)
        return pipeline_id

    def type(self, name: str, **options: Any) -> RelationshipType:
        """A relationship type that exists."""
        self.types[name] = RelationshipType(new_id(), name, 1, **options)
        return self.types[name]

    async def announce(self, tenant_id: UUID, kind: str, subject: UUID, data: msgspec.Struct) -> None:
        """Sends an event as pipelines does."""
        event_id, where, payload = encode(tenant_id, NewEvent(kind, subject, data))
        await self.bus.publish([Outgoing(where, payload.encode(), str(event_id))])

    def answer(self) -> None:
        """Begins to answer."""

        async def definition(question: DefinitionQuestion) -> Definition:
            self.asked += 1
            found = self.pipelines.get((question.tenant_id, question.pipeline_id))
            if found is None:
                raise NotFound
            return found

        async def relationship_type(question: TypeQuestion) -> RelationshipType:
            if question.name in self.types:
                return self.types[question.name]
            if not self.types_may_be_made:
                raise Forbidden("You may not manage types")
            return self.type(question.name)

        self.bus.serve("rpc.pipelines.definition", DefinitionQuestion, definition)
        self.bus.serve("rpc.pipelines.relationship_type", TypeQuestion, relationship_type)


@dataclass(repr=False)
class Service:
    """The service, a tenant in it, and whoever is allowed what."""

    http: httpx.AsyncClient
    issuer: Issuer
    definitions: Definitions
    bus: Bus
    database: Database
    tenant_id: UUID
    everything: dict[str, str]
    files_url: str

    def pipeline(self, *fields: dict[str, Any], **options: Any) -> UUID:
        """A pipeline of the tenant."""
        return self.definitions.pipeline(self.tenant_id, *fields, **options)

    def principal(self, *grants: Grant) -> "Client":
        """A new user with these grants."""
        return Client(self.http, self.issuer.headers(self.tenant_id, *grants))

    @property
    def client(self) -> "Client":
        """The user who may do everything."""
        return Client(self.http, self.everything)


@dataclass
class Client:
    """One principal's way to the service."""

    http: httpx.AsyncClient
    headers: dict[str, str]

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request below `/api/v1`."""
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return await self.call("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        """POST."""
        return await self.call("POST", path, json=json, **options)

    async def put(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        """PUT."""
        return await self.call("PUT", path, json=json, **options)

    async def patch(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        """PATCH."""
        return await self.call("PATCH", path, json=json, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        """DELETE."""
        return await self.call("DELETE", path, **options)

    async def create(self, pipeline_id: UUID, data: dict[str, Any], **rest: Any) -> dict[str, Any]:
        """A record that is made for sure."""
        response = await self._posted(f"/pipelines/{pipeline_id}/records", {"data": data, **rest})
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    async def batch(self, pipeline_id: UUID, operations: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
        """A batch that is taken."""
        body = {"operations": operations, **rest}
        response = await self._posted(f"/pipelines/{pipeline_id}/records/batch", body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def _posted(self, path: str, body: Any) -> httpx.Response:
        """The answer to a body that is sent again, as any client would, where a busy machine bids it come later."""
        deadline = time.monotonic() + PATIENCE
        while True:
            response = await self.post(path, body)
            if response.status_code != 503 or time.monotonic() > deadline:
                return response
            await asyncio.sleep(float(response.headers["retry-after"]))


@asynccontextmanager
async def records_service(database: Database, nats_url: str, redis_url: str, **more: Any) -> AsyncIterator[Service]:
    """The service on these servers, until the block ends."""
    files = TemporaryDirectory(prefix="millrace-files-")
    urls = {"nats_url": nats_url, "redis_url": redis_url, "files_url": Path(files.name).as_uri()}
    given = Settings(port=0, database_url=database.dsn("records"), **urls, **more)
    bus = Bus(nats_url, "test pipelines")
    await bus.start()
    definitions = Definitions(bus)
    definitions.answer()
    await bus.ready()
    try:
        async with issuing(nats_url) as issuer, running(build(given)) as http:
            tenant_id = new_id()
            everything = issuer.headers(tenant_id)
            await _until_ready(http)
            yield Service(http, issuer, definitions, bus, database, tenant_id, everything, given.files_url)
    finally:
        await bus.stop()
        files.cleanup()


async def _until_ready(http: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        return bool((await http.get("/health")).json()["status"] == "ok")

    await eventually(ready)

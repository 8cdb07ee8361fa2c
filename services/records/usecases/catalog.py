"""What is known of pipelines and relationship types: memory, then our own table, then a question to `pipelines`."""

import asyncio
import time
from collections import Counter
from typing import TypeVar
from uuid import UUID

import msgspec

from libs.common import events
from libs.common.bus import Bus
from libs.common.errors import NotFound, Unavailable
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.plan_store import Plans
from libs.common.postgres import Database
from services.records.domain.definitions import Definition, RelationshipType
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.storage import definitions
from services.records.usecases.heavy import Heavy
from services.records.usecases.people import People
from services.records.usecases.plans import RecordPlans
from services.records.usecases.remembered import Views
from services.records.usecases.tenants import Tenants
from services.records.usecases.tongues import Tongues

T = TypeVar("T")
CACHED = 20_000
AWAY_SECONDS = 2.0
LISTED_SECONDS = 5.0
SCHEMA = "schema"
"""The kind of jobs that bring records along with their definition."""

Key = tuple[UUID, UUID]


class _Question(msgspec.Struct):
    tenant_id: UUID
    pipeline_id: UUID


class _TypeQuestion(msgspec.Struct):
    token: str
    name: str
    source_pipeline: UUID
    target_pipeline: UUID


class _Job(msgspec.Struct):
    kind: str
    pipeline_id: UUID | None = None


class Catalog:
    """Answers definitions. What memory holds is refreshed by events, and by asking before anything is refused."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self.tenants = Tenants(database, bus)
        self.plans = Plans(bus)
        self.people = People(bus)
        self.tongues = Tongues(bus)
        self.record_plans = RecordPlans()
        self.views = Views()
        self.heavy = Heavy()
        self._pipelines: dict[Key, Pipeline] = {}
        self._types: dict[tuple[UUID, str], RelationshipType] = {}
        self._reaches: dict[tuple[UUID, UUID, tuple[UUID, ...]], tuple[int, Permissions, Reach]] = {}
        self._changes: Counter[UUID] = Counter()
        self._listed: dict[UUID, tuple[int, float, list[UUID]]] = {}
        self._asked: dict[Key, float] = {}
        self._asking: dict[Key, asyncio.Lock] = {}
        self._away_until = 0.0

    async def pipeline(self, tenant_id: UUID, pipeline_id: UUID) -> Pipeline:
        """A pipeline; one in the trash, or of another tenant, is `NotFound`."""
        known = self._pipelines.get((tenant_id, pipeline_id)) or await self._load(tenant_id, pipeline_id)
        if known is None or known.definition.deleted:
            known = await self._fresh(tenant_id, pipeline_id)
        if known.definition.deleted:
            raise NotFound("There is no such pipeline")
        return known

    async def pipeline_ids(self, tenant_id: UUID, most: int) -> list[UUID]:
        """The pipelines of a tenant that are known, up to so many; one made elsewhere is in at most seconds later."""
        changes, present = self._changes[tenant_id], time.monotonic()
        listed = self._listed.get(tenant_id)
        if listed is None or listed[0] != changes or listed[1] + LISTED_SECONDS < present:
            async with self._database.tenant(tenant_id) as connection:
                stored = await definitions.pipeline_ids(connection, tenant_id, most)
            heard = (key[1] for key, it in self._pipelines.items() if key[0] == tenant_id and not it.definition.deleted)
            listed = self._listed[tenant_id] = changes, present, sorted({*stored, *heard})[:most]
        return listed[2]

    async def newer(self, tenant_id: UUID, than: Pipeline) -> Pipeline | None:
        """The pipeline as it is now, if it has changed since; null also where nobody can tell."""
        try:
            known = await self._fresh(tenant_id, than.id)
        except (Unavailable, NotFound):
            return None
        return known if known.version > than.version and not known.definition.deleted else None

    def cached_reach(self, principal: Principal, permissions: Permissions, pipeline_id: UUID) -> Reach | None:
        """A reach that was compiled before and still holds."""
        found = self._reaches.get((principal.tenant_id, pipeline_id, principal.roles))
        if found is None or found[0] != self._changes[principal.tenant_id] or found[1] is not permissions:
            return None
        return found[2]

    async def reach(self, principal: Principal, permissions: Permissions, pipeline_id: UUID) -> Reach:
        """A pipeline and what its relations lead to, as the principal may see them."""
        known = self.cached_reach(principal, permissions, pipeline_id)
        if known is not None:
            return known
        changes = self._changes[principal.tenant_id]
        found = Reach(pipeline_id, await self._reachable(principal.tenant_id, pipeline_id), permissions)
        if len(self._reaches) >= CACHED:
            self._reaches.clear()
        self._reaches[principal.tenant_id, pipeline_id, principal.roles] = (changes, permissions, found)
        return found

    async def relationship_type(self, principal: Principal, name: str, source: UUID, target: UUID) -> RelationshipType:
        """A type by its name or its inverse's; it is made where it does not exist and the caller may make it."""
        known = await self.known_type(principal.tenant_id, name)
        return known or await self.asked_type(principal, name, source, target)

    async def asked_type(self, principal: Principal, name: str, source: UUID, target: UUID) -> RelationshipType:
        """The same as pipelines knows it now."""
        question = _TypeQuestion(principal.token, name, source, target)
        known = await self._bus.request("rpc.pipelines.relationship_type", question, RelationshipType)
        async with self._database.tenant(principal.tenant_id) as connection:
            await definitions.put_type(connection, principal.tenant_id, known)
        self.remember_type(principal.tenant_id, known)
        return known

    async def ask(self, subject: str, question: msgspec.Struct, answer: type[T]) -> T:
        """What `pipelines` answers to a question about what may be another by now than was heard; when it did not
        answer, nobody waits for it again for a moment.
        """
        if time.monotonic() < self._away_until:
            raise Unavailable("The definitions cannot be asked for")
        try:
            return await self._bus.request(subject, question, answer)
        except Unavailable:
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise

    async def known_type(self, tenant_id: UUID, name: str) -> RelationshipType | None:
        """A type that was heard of, by its name or its inverse's."""
        known = self._types.get((tenant_id, name))
        if known is None:
            async with self._database.tenant(tenant_id) as connection:
                known = await definitions.relationship_type(connection, tenant_id, name)
            if known is not None:
                self._types[tenant_id, name] = known
        return known

    async def hear_pipeline(self, payload: bytes) -> None:
        """Takes a changed definition into memory."""
        event = events.decode(payload, Definition)
        self._remember(event.tenant_id, event.data)

    async def hear_job(self, payload: bytes) -> None:
        """Lets go of a definition when a job has done to records what it asked for."""
        event = events.decode(payload, _Job)
        if event.data.kind == SCHEMA and event.data.pipeline_id is not None:
            self._changes[event.tenant_id] += 1
            self._pipelines.pop((event.tenant_id, event.data.pipeline_id), None)

    async def hear_type(self, payload: bytes) -> None:
        """Takes a changed type into memory."""
        event = events.decode(payload, RelationshipType)
        self.remember_type(event.tenant_id, event.data)

    def remember_type(self, tenant_id: UUID, it: RelationshipType) -> None:
        """Takes a type into memory, and whatever names it had before out of it."""
        old = [key for key, known in self._types.items() if key[0] == tenant_id and known.id == it.id]
        for key in old:
            del self._types[key]
        if not it.deleted:
            self._types[tenant_id, it.name] = it

    def forget(self, tenant_id: UUID) -> None:
        """Forgets a tenant."""
        self.views.forget(tenant_id)
        self._listed.pop(tenant_id, None)
        self._changes[tenant_id] += 1
        self._pipelines = {key: value for key, value in self._pipelines.items() if key[0] != tenant_id}
        self._types = {key: value for key, value in self._types.items() if key[0] != tenant_id}

    async def _reachable(self, tenant_id: UUID, pipeline_id: UUID) -> dict[UUID, Pipeline]:
        found = {pipeline_id: await self.pipeline(tenant_id, pipeline_id)}
        ahead = set(found[pipeline_id].targets)
        while ahead:
            target = ahead.pop()
            if target not in found:
                try:
                    found[target] = await self.pipeline(tenant_id, target)
                except NotFound:
                    continue
                ahead |= found[target].targets
        return found

    async def _load(self, tenant_id: UUID, pipeline_id: UUID) -> Pipeline | None:
        async with self._database.tenant(tenant_id) as connection:
            definition = await definitions.pipeline(connection, tenant_id, pipeline_id)
        return None if definition is None else self._remember(tenant_id, definition)

    async def reload(self, tenant_id: UUID, pipeline_id: UUID) -> None:
        """Takes into memory what our own table says of a pipeline."""
        await self._load(tenant_id, pipeline_id)

    async def _fresh(self, tenant_id: UUID, pipeline_id: UUID) -> Pipeline:
        """The pipeline as it was at some moment after this call; those who wait together ask together."""
        key, called = (tenant_id, pipeline_id), time.monotonic()
        async with self._asking.setdefault(key, asyncio.Lock()):
            known = self._pipelines.get(key)
            if known is not None and self._asked.get(key, 0.0) > called:
                return known
            try:
                began = time.monotonic()
                definition = await self._bus.request("rpc.pipelines.definition", _Question(*key), Definition)
            finally:
                self._asking.pop(key, None)
            self._asked[key] = began
            return self._remember(tenant_id, definition)

    def _remember(self, tenant_id: UUID, definition: Definition) -> Pipeline:
        key = (tenant_id, definition.id)
        known = self._pipelines.get(key)
        if known is not None and known.version >= definition.version:
            return known
        if len(self._pipelines) >= CACHED:
            self._pipelines.clear()
            self._asked.clear()
        self._changes[tenant_id] += 1
        self._pipelines[key] = Pipeline(definition)
        return self._pipelines[key]

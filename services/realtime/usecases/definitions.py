"""What is known of pipelines: memory, then the service's own table, then a question to pipelines."""

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.errors import NotFound, Unavailable
from libs.common.postgres import Database
from services.realtime.domain.definitions import Definition
from services.realtime.storage import definitions, tenants

CACHED = 20_000

Changed = Callable[[UUID, Definition, Definition], None]
"""The tenant, the definition as it was, and as it is."""


class _Question(msgspec.Struct):
    tenant_id: UUID
    pipeline_id: UUID


class Definitions:
    """The definitions of all tenants' pipelines, as far as they were needed."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._memory: dict[tuple[UUID, UUID], Definition] = {}
        self._zones: dict[UUID, str] = {}
        self._changed: Changed = lambda *_: None

    def on_change(self, changed: Changed) -> None:
        """Calls, at the moment when a newer version of a definition takes the place of another."""
        self._changed = changed

    def cached(self, tenant_id: UUID, pipeline_id: UUID) -> Definition | None:
        """The definition, where it is in memory, with its tenant's zone."""
        return self._memory.get((tenant_id, pipeline_id)) if tenant_id in self._zones else None

    async def get(self, tenant_id: UUID, pipeline_id: UUID) -> Definition:
        """The definition, from wherever it is known; raises NotFound."""
        known = self.cached(tenant_id, pipeline_id)
        if known is None:
            await self._locate(tenant_id)
            known = self._memory.get((tenant_id, pipeline_id))
        if known is None:
            known = await self._load(tenant_id, pipeline_id) or await self._ask(tenant_id, pipeline_id)
            self.remember(tenant_id, known)
        return self._memory[tenant_id, pipeline_id]

    async def get_or_bare(self, tenant_id: UUID, pipeline_id: UUID) -> Definition:
        """Like `get`; a pipeline that is not known to anybody (any more) has no fields."""
        try:
            return await self.get(tenant_id, pipeline_id)
        except NotFound:
            self.remember(tenant_id, Definition(pipeline_id, 0, (), deleted=True))
            return self._memory[tenant_id, pipeline_id]

    async def newer(self, tenant_id: UUID, than: Definition) -> Definition | None:
        """The definition as it is now, if it has changed since; null also where nobody can tell."""
        with suppress(NotFound, Unavailable):
            self.remember(tenant_id, await self._ask(tenant_id, than.id))
        known = self._memory.get((tenant_id, than.id))
        return known if known is not None and known.version > than.version else None

    def remember(self, tenant_id: UUID, definition: Definition) -> bool:
        """Takes a definition in unless a newer one is known; whether it was news."""
        key = (tenant_id, definition.id)
        definition = msgspec.structs.replace(definition, time_zone=self._zones.get(tenant_id, "UTC"))
        present = self._memory.get(key)
        if present is not None and (present.version > definition.version or present == definition):
            return False
        if len(self._memory) >= CACHED:
            self._memory.pop(next(iter(self._memory)))
        self._memory[key] = definition
        if present is not None and present.version < definition.version:
            self._changed(tenant_id, present, definition)
        return True

    def relocate(self, tenant_id: UUID, time_zone: str) -> list[UUID]:
        """Takes in where a tenant's days begin; the pipelines in memory for which that is news."""
        if len(self._zones) >= CACHED:
            self._zones.clear()
        self._zones[tenant_id] = time_zone
        moved = [key for key, it in self._memory.items() if key[0] == tenant_id and it.time_zone != time_zone]
        for key in moved:
            self._memory[key] = msgspec.structs.replace(self._memory[key], time_zone=time_zone)
        return [pipeline_id for _, pipeline_id in moved]

    async def _locate(self, tenant_id: UUID) -> None:
        if tenant_id not in self._zones:
            async with self._database.tenant(tenant_id) as connection:
                found = await tenants.zone(connection, tenant_id)
            if tenant_id not in self._zones:
                self.relocate(tenant_id, found)

    async def _load(self, tenant_id: UUID, pipeline_id: UUID) -> Definition | None:
        async with self._database.tenant(tenant_id) as connection:
            return await definitions.get(connection, tenant_id, pipeline_id)

    async def _ask(self, tenant_id: UUID, pipeline_id: UUID) -> Definition:
        return await self._bus.request("rpc.pipelines.definition", _Question(tenant_id, pipeline_id), Definition)

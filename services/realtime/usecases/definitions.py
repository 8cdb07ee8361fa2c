"""What is known of pipelines: memory, then the service's own table, then a question to pipelines."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.errors import NotFound
from libs.common.postgres import Database
from services.realtime.domain.definitions import Definition
from services.realtime.storage import definitions

CACHED = 20_000


class _Question(msgspec.Struct):
    tenant_id: UUID
    pipeline_id: UUID


class Definitions:
    """The definitions of all tenants' pipelines, as far as they were needed."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._memory: dict[tuple[UUID, UUID], Definition] = {}

    def cached(self, tenant_id: UUID, pipeline_id: UUID) -> Definition | None:
        """The definition, where it is in memory."""
        return self._memory.get((tenant_id, pipeline_id))

    async def get(self, tenant_id: UUID, pipeline_id: UUID) -> Definition:
        """The definition, from wherever it is known; raises NotFound."""
        known = self.cached(tenant_id, pipeline_id)
        if known is None:
            known = await self._load(tenant_id, pipeline_id) or await self._ask(tenant_id, pipeline_id)
            self.remember(tenant_id, known)
        return known

    async def get_or_bare(self, tenant_id: UUID, pipeline_id: UUID) -> Definition:
        """Like `get`; a pipeline that is not known to anybody (any more) has no fields."""
        try:
            return await self.get(tenant_id, pipeline_id)
        except NotFound:
            bare = Definition(pipeline_id, 0, (), deleted=True)
            self.remember(tenant_id, bare)
            return bare

    def remember(self, tenant_id: UUID, definition: Definition) -> bool:
        """Takes a definition in unless a newer one is known; whether it was news."""
        key = (tenant_id, definition.id)
        present = self._memory.get(key)
        if present is not None and (present.version > definition.version or present == definition):
            return False
        if len(self._memory) >= CACHED:
            self._memory.pop(next(iter(self._memory)))
        self._memory[key] = definition
        return True

    async def _load(self, tenant_id: UUID, pipeline_id: UUID) -> Definition | None:
        async with self._database.tenant(tenant_id) as connection:
            return await definitions.get(connection, tenant_id, pipeline_id)

    async def _ask(self, tenant_id: UUID, pipeline_id: UUID) -> Definition:
        return await self._bus.request("rpc.pipelines.definition", _Question(tenant_id, pipeline_id), Definition)

"""Whom a tenant lets in: memory, then the service's own table, then a question to auth."""

import asyncio
import time
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.errors import NotFound, Unavailable
from libs.common.postgres import Database
from services.realtime.domain.tenants import Tenant
from services.realtime.storage import tenants

CACHED = 20_000
FRESH_SECONDS = 60.0


class _Question(msgspec.Struct):
    tenant_id: UUID


class Admission:
    """The tenants of this node's sockets, as events tell of them; read anew every minute, should one get lost."""

    def __init__(self, database: Database, bus: Bus, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._database = database
        self._bus = bus
        self._fresh_seconds = fresh_seconds
        self._known: dict[UUID, tuple[Tenant, float]] = {}
        self._finding: dict[UUID, asyncio.Task[Tenant | None]] = {}

    async def require(self, tenant_id: UUID, address: str) -> None:
        """Raises Forbidden for a socket that the tenant does not let in; nothing happens after it was judged."""
        tenant = self._fresh(tenant_id) or await self._anew(tenant_id)
        if tenant is not None and (refusal := tenant.refusal(address)) is not None:
            raise refusal

    async def _anew(self, tenant_id: UUID) -> Tenant | None:
        """A tenant as it is now, or as it was known where nobody can tell."""
        try:
            found = await self._find_once(tenant_id)
        except Unavailable:
            if tenant_id not in self._known:
                raise
            return self._known[tenant_id][0]
        # An event that came meanwhile is newer.
        if (heard := self._fresh(tenant_id)) is not None:
            return heard
        if found is not None:
            self.learn(tenant_id, found)
        return found

    def learn(self, tenant_id: UUID, tenant: Tenant) -> None:
        """Takes in what is new of a tenant."""
        if len(self._known) >= CACHED:
            self._known.clear()
        self._known[tenant_id] = tenant, time.monotonic() + self._fresh_seconds

    def _fresh(self, tenant_id: UUID) -> Tenant | None:
        found = self._known.get(tenant_id)
        return found[0] if found is not None and found[1] > time.monotonic() else None

    async def _find_once(self, tenant_id: UUID) -> Tenant | None:
        """All sockets that come at once, as after a restart, wait for one look."""
        task = self._finding.get(tenant_id)
        if task is None:
            task = self._finding[tenant_id] = asyncio.create_task(self._find(tenant_id))
            task.add_done_callback(lambda task: self._found(tenant_id, task))
        return await asyncio.shield(task)

    def _found(self, tenant_id: UUID, task: "asyncio.Task[Tenant | None]") -> None:
        del self._finding[tenant_id]
        if not task.cancelled():
            # Nobody may be waiting any more to hear of it.
            task.exception()

    async def _find(self, tenant_id: UUID) -> Tenant | None:
        """The tenant; None where no event has told of it and auth is away."""
        async with self._database.tenant(tenant_id) as connection:
            found = await tenants.get(connection, tenant_id)
        try:
            return found or await self._bus.request("rpc.auth.tenant", _Question(tenant_id), Tenant)
        except NotFound:
            return Tenant()
        except Unavailable:
            return None

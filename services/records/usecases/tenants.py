"""What tenants want, in memory: refreshed by events, and read anew every half minute, should one not be heard.

Of a tenant that nothing was heard of auth is asked.
"""

import time
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from libs.common import events
from libs.common.bus import Bus
from libs.common.clock import zone
from libs.common.errors import NotFound, Unavailable
from libs.common.postgres import Database
from services.records.storage import tenants
from services.records.storage.tenants import Wishes

REMEMBERED_SECONDS = 30.0
ASK_SECONDS = 0.5
CACHED = 20_000


class Tenant(msgspec.Struct, frozen=True):
    """The tenant that an event speaks of."""

    id: UUID
    require_if_match: bool = False
    trash_days: int = 30
    time_zone: str = "UTC"


class _Question(msgspec.Struct):
    tenant_id: UUID


class Tenants:
    """Answers what a tenant wants."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._known: dict[UUID, tuple[float, Wishes]] = {}

    async def require_if_match(self, tenant_id: UUID) -> bool:
        """Whether records are changed only by who names their version."""
        return (await self._wishes(tenant_id)).require_if_match

    async def zone(self, tenant_id: UUID) -> ZoneInfo:
        """Where the tenant's days, weeks and months begin."""
        return zone((await self._wishes(tenant_id)).time_zone)

    async def hear(self, payload: bytes) -> None:
        """Takes a change into memory."""
        event = events.decode(payload, Tenant)
        self._remember(event.tenant_id, time.monotonic(), Wishes(event.data.require_if_match, event.data.time_zone))

    async def _wishes(self, tenant_id: UUID) -> Wishes:
        known, called = self._known.get(tenant_id), time.monotonic()
        if known is not None and called - known[0] < REMEMBERED_SECONDS:
            return known[1]
        async with self._database.tenant(tenant_id) as connection:
            found = await tenants.wishes(connection, tenant_id)
        if found is None:
            found = await self._ask(tenant_id)
        present = self._known.get(tenant_id)
        if present is None or present[0] <= called:
            self._remember(tenant_id, called, found)
        return self._known[tenant_id][1]

    async def _ask(self, tenant_id: UUID) -> Wishes:
        """What auth says of a tenant that was not heard of: its last event may be older than the stream reaches."""
        try:
            it = await self._bus.request("rpc.auth.tenant", _Question(tenant_id), Tenant, seconds=ASK_SECONDS)
        except (Unavailable, NotFound):
            return Wishes()
        async with self._database.tenant(tenant_id) as connection:
            await tenants.put(
                connection, tenant_id, require_if_match=it.require_if_match, trash_days=it.trash_days,
                time_zone=it.time_zone, asked=True,
            )  # fmt: skip
        return Wishes(it.require_if_match, it.time_zone)

    def _remember(self, tenant_id: UUID, since: float, wishes: Wishes) -> None:
        if len(self._known) >= CACHED:
            self._known.clear()
        self._known[tenant_id] = since, wishes

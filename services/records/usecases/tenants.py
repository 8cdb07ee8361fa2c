"""What tenants want, in memory: refreshed by events, and read anew every half minute, should one not be heard."""

import time
from uuid import UUID

import msgspec

from libs.common import events
from libs.common.postgres import Database
from services.records.storage import tenants

REMEMBERED_SECONDS = 30.0
CACHED = 20_000


class Tenant(msgspec.Struct, frozen=True):
    """The tenant that an event speaks of."""

    id: UUID
    require_if_match: bool = False
    trash_days: int = 30
    time_zone: str = "UTC"


class Tenants:
    """Answers what a tenant wants."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._strict: dict[UUID, tuple[float, bool]] = {}

    async def require_if_match(self, tenant_id: UUID) -> bool:
        """Whether records are changed only by who names their version."""
        since, strict = self._strict.get(tenant_id, (0.0, False))
        called = time.monotonic()
        if called - since < REMEMBERED_SECONDS and since:
            return strict
        async with self._database.tenant(tenant_id) as connection:
            strict = await tenants.require_if_match(connection, tenant_id)
        if self._strict.get(tenant_id, (0.0, False))[0] <= called:
            self._remember(tenant_id, called, strict=strict)
        return self._strict[tenant_id][1]

    async def hear(self, payload: bytes) -> None:
        """Takes a change into memory."""
        event = events.decode(payload, Tenant)
        self._remember(event.tenant_id, time.monotonic(), strict=event.data.require_if_match)

    def _remember(self, tenant_id: UUID, since: float, *, strict: bool) -> None:
        if len(self._strict) >= CACHED:
            self._strict.clear()
        self._strict[tenant_id] = since, strict

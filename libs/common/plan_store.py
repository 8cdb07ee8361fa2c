"""Each process's copy of the limits of tenants' plans."""

import time
from uuid import UUID

import msgspec

from libs.common import events
from libs.common.bus import Bus
from libs.common.errors import NotFound, Unavailable
from libs.common.plans import NONE, Limits

REMEMBERED_SECONDS = 60.0
AWAY_SECONDS = 5.0
CAPACITY = 20_000


class _Question(msgspec.Struct):
    tenant_id: UUID


class _Announced(msgspec.Struct):
    limits: Limits = Limits()


class Plans:
    """The limits of tenants' plans in memory: asked of auth, and kept new by its events.

    Where auth is away and nothing is known nothing is limited: a plan is no reason to refuse work.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[UUID, tuple[Limits, float]] = {}

    def start(self) -> None:
        """Begins to follow changes."""
        self._bus.listen("evt.*.auth.tenant.*", self._hear)
        self._bus.on_reconnect(self._known.clear)

    def cached(self, tenant_id: UUID) -> Limits:
        """What is known now, for use where nobody is asked."""
        known = self._known.get(tenant_id)
        return known[0] if known else NONE

    async def of(self, tenant_id: UUID) -> Limits:
        """A tenant's limits."""
        known = self._known.get(tenant_id)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        try:
            limits = await self._bus.request("rpc.auth.limits", _Question(tenant_id), Limits, seconds=1.0)
            return self._keep(tenant_id, limits, REMEMBERED_SECONDS)
        except (Unavailable, NotFound):
            return self._keep(tenant_id, known[0] if known else NONE, AWAY_SECONDS)

    async def _hear(self, payload: bytes) -> None:
        event = events.decode(payload, _Announced)
        self._keep(event.tenant_id, event.data.limits, REMEMBERED_SECONDS)

    def _keep(self, tenant_id: UUID, limits: Limits, seconds: float) -> Limits:
        if len(self._known) >= CAPACITY:
            self._known.clear()
        self._known[tenant_id] = limits, time.monotonic() + seconds
        return limits

"""The tenants that somebody on this node listens to."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from libs.common.bus import Bus
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.hub import Hear, Hub
from services.realtime.usecases.metrics import LiveMetrics
from services.realtime.usecases.past import Past
from services.realtime.usecases.subscribers import Subscription


class Hubs:
    """Opens a tenant's hub for the first who needs it and closes it after the last."""

    def __init__(self, node: str, bus: Bus, definitions: Definitions, metrics: LiveMetrics, hear: Hear) -> None:
        self._node = node
        self._bus = bus
        self._hear = hear
        self._definitions = definitions
        self._past = Past(bus)
        self._metrics = metrics
        self._hubs: dict[UUID, Hub] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, tenant_id: UUID) -> Hub | None:
        """The hub of a tenant, where it is open."""
        return self._hubs.get(tenant_id)

    @contextmanager
    def opened(self, tenant_id: UUID) -> Iterator[Hub]:
        """The hub of a tenant; it stays open after the block for as long as it has subscriptions."""
        hub = self._hubs.get(tenant_id)
        if hub is None:
            hub = self._hubs[tenant_id] = self._open(tenant_id)
        try:
            with hub.held():
                yield hub
        finally:
            self._close_if_unused(hub)

    def detach(self, subscription: Subscription) -> None:
        """Ends a subscription, and its tenant's hub if it was the last."""
        hub = self._hubs.get(subscription.subscriber.principal.tenant_id)
        if hub is not None:
            hub.detach(subscription)
            self._close_if_unused(hub)

    async def stop(self) -> None:
        """Closes all hubs."""
        for hub in list(self._hubs.values()):
            self._close(hub)
        await asyncio.gather(*self._closing)

    def _open(self, tenant_id: UUID) -> Hub:
        self._metrics.hubs.inc()
        return Hub(tenant_id, self._node, self._bus, self._definitions, self._past, self._metrics, self._hear)

    def _close_if_unused(self, hub: Hub) -> None:
        if hub.users == 0 and self._hubs.get(hub.tenant_id) is hub:
            self._close(hub)

    def _close(self, hub: Hub) -> None:
        del self._hubs[hub.tenant_id]
        self._metrics.hubs.dec()
        task = asyncio.create_task(hub.stop())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

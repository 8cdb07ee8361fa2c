"""The open, authenticated connections of this node."""

from collections import defaultdict
from typing import Protocol
from uuid import UUID

from libs.common.errors import AppError, RateLimited
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.realtime.usecases.metrics import LiveMetrics
from services.realtime.usecases.subscribers import Subscriber, Subscription


class Connected(Subscriber, Protocol):
    """A subscriber as its owner sees it."""

    subscriptions: dict[str, Subscription]
    address: str

    def grant(self, permissions: Permissions) -> None:
        """Takes new permissions."""

    def revoke(self, code: str, detail: str) -> None:
        """Tells that the credentials are no longer good, and closes."""

    def dismiss(self) -> None:
        """Closes because the server ends."""

    async def reviewed(self) -> None:
        """Looks again at what it has beside subscriptions, after its roles have changed."""

    def ended(self, subscription: Subscription, error: AppError) -> None:
        """Tells that a subscription has ended, and why."""


class Registry:
    """Counts connections against their bounds, and finds those that a change concerns."""

    def __init__(self, metrics: LiveMetrics, per_node: int, per_tenant: int, per_user: int) -> None:
        self._metrics = metrics
        metrics.most_sockets.set(per_node)
        self._per_node = per_node
        self._per_tenant = per_tenant
        self._per_user = per_user
        self._tenants: dict[UUID, dict[str, Connected]] = defaultdict(dict)
        self._users: dict[tuple[UUID, UUID], int] = defaultdict(int)
        self._count = 0

    def add(self, connection: Connected) -> None:
        """Takes a connection in; over a bound it is refused."""
        principal = connection.principal
        if self._count >= self._per_node:
            raise _too_many("This server has")
        if len(self._tenants.get(principal.tenant_id, ())) >= self._per_tenant:
            raise _too_many("Your organization has")
        if self._users.get(_user(principal), 0) >= self._per_user:
            raise _too_many("You have")
        self._count += 1
        self._tenants[principal.tenant_id][connection.id] = connection
        self._users[_user(principal)] += 1
        self._metrics.sockets.inc()

    def remove(self, connection: Connected) -> None:
        """Forgets a connection, if it was taken in."""
        principal = connection.principal
        connections = self._tenants.get(principal.tenant_id, {})
        if connections.pop(connection.id, None) is None:
            return
        self._count -= 1
        if not connections:
            del self._tenants[principal.tenant_id]
        self._users[_user(principal)] -= 1
        if not self._users[_user(principal)]:
            del self._users[_user(principal)]
        self._metrics.sockets.dec()

    def of(self, tenant_id: UUID) -> list[Connected]:
        """A tenant's connections."""
        return list(self._tenants.get(tenant_id, {}).values())

    def all(self) -> list[Connected]:
        """Every connection."""
        return [connection for connections in self._tenants.values() for connection in connections.values()]


def _user(principal: Principal) -> tuple[UUID, UUID]:
    return principal.tenant_id, principal.id


def _too_many(whose: str) -> RateLimited:
    return RateLimited(f"{whose} too many sockets open", code="too-many-sockets", retry_after=5)

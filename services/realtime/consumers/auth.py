from collections.abc import Callable
from uuid import UUID

from libs.common.identity import Principal
from libs.common.roles import RoleStore
from services.realtime.usecases.registry import Registry
from services.realtime.usecases.reviews import Reviews


def on_revoked(registry: Registry, covered: Callable[[Principal], bool]) -> Callable[[UUID], None]:
    """What closes a tenant's sockets whose session has ended."""

    def close(tenant_id: UUID) -> None:
        for connection in registry.of(tenant_id):
            if covered(connection.principal):
                connection.revoke("session-revoked", "The session has ended")

    return close


def follow(roles: RoleStore, reviews: Reviews) -> None:
    """Judges open subscriptions anew whenever a role changes."""
    roles.watch(reviews.role_changed)

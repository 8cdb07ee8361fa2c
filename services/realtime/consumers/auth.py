from collections.abc import Callable
from uuid import UUID

import msgspec

from libs.common import events
from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.identity import Principal
from libs.common.networks import is_within
from libs.common.postgres import Connection, Database
from libs.common.roles import RoleStore
from services.realtime.domain.webhooks import OWNER_AWAY
from services.realtime.storage import deliveries, notifications, tenants, users, webhooks
from services.realtime.storage.users import Person
from services.realtime.usecases.live import Live
from services.realtime.usecases.registry import Registry
from services.realtime.usecases.reviews import Reviews
from services.realtime.usecases.subscriptions import pipeline_changed


def on_revoked(registry: Registry, covered: Callable[[Principal], bool]) -> Callable[[UUID], None]:
    """What closes a tenant's sockets whose session has ended."""

    def close(tenant_id: UUID) -> None:
        for connection in registry.of(tenant_id):
            if covered(connection.principal):
                connection.revoke("session-revoked", "The session has ended")

    return close


TENANTS = "evt.*.auth.tenant.*"


class Tenant(msgspec.Struct, frozen=True):
    """The tenant that an event speaks of; one that is gone has no status. No `addresses` allow all."""

    status: str | None = None
    time_zone: str = "UTC"
    addresses: tuple[str, ...] = ()


def follow_tenants(bus: Bus, registry: Registry) -> None:
    """Closes the sockets of tenants that are not served any more, or not at the address where the socket comes from."""

    async def changed(payload: bytes) -> None:
        event = events.decode(payload, Tenant)
        if event.data.status != "active":
            for connection in registry.of(event.tenant_id):
                connection.revoke("tenant-inactive", "The organization is not active")
        elif event.data.addresses:
            for connection in registry.of(event.tenant_id):
                if not is_within(connection.address, event.data.addresses):
                    connection.revoke("address-not-allowed", "The organization does not allow this address")

    bus.listen(TENANTS, changed)


def follow_zones(live: Live, bus: Bus, database: Database) -> None:
    """Keeps where the days of tenants begin: durably in the table, at once in memory, and judges by it."""

    async def hear(payload: bytes) -> None:
        event = events.decode(payload, Tenant)
        for pipeline_id in live.definitions.relocate(event.tenant_id, event.data.time_zone):
            await pipeline_changed(live, event.tenant_id, pipeline_id)

    bus.consume(Consumer("realtime-tenants", TENANTS, Tenant, keep_zone), database)
    bus.listen(TENANTS, hear)


async def keep_zone(connection: Connection, event: Event[Tenant]) -> None:
    """Keeps the zone of a tenant that is there."""
    if not event.type.endswith(".deleted"):
        await tenants.keep_zone(connection, event.tenant_id, event.data.time_zone)


def follow(roles: RoleStore, reviews: Reviews) -> None:
    """Judges open subscriptions anew whenever a role changes."""
    roles.watch(reviews.role_changed)


def follow_people(bus: Bus, database: Database) -> None:
    """Keeps who may sign in, with which roles."""
    bus.consume(Consumer("realtime-users", "evt.*.auth.user.*", Person, keep_user), database)


async def keep_user(connection: Connection, event: Event[Person]) -> None:
    """Keeps a person; the webhooks of one who may not sign in are paused until they may again."""
    tenant_id, user = event.tenant_id, event.data
    if event.type.endswith(".deleted"):
        await users.forget(connection, tenant_id, user.id)
        await notifications.forget_person(connection, tenant_id, user.id)
    else:
        await users.keep(connection, tenant_id, user)
    if event.type.endswith(".deleted") or user.status != "active":
        await webhooks.pause_owned(connection, tenant_id, user.id, OWNER_AWAY)
        await deliveries.rest_owned(connection, tenant_id, user.id)
    else:
        for webhook_id in await webhooks.resume_owned(connection, tenant_id, user.id, OWNER_AWAY):
            await deliveries.wake(connection, tenant_id, webhook_id, 0)

from collections.abc import Callable
from uuid import UUID

from libs.common import events
from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.identity import Principal
from libs.common.postgres import Connection, Database
from libs.common.roles import RoleStore
from services.realtime.domain.tenants import Tenant
from services.realtime.domain.webhooks import OWNER_AWAY
from services.realtime.storage import deliveries, notifications, tenants, users, webhooks
from services.realtime.storage.users import Person
from services.realtime.usecases.admission import Admission
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


def follow_tenants(bus: Bus, registry: Registry, admission: Admission) -> None:
    """Closes the sockets of tenants that are not served any more, or not at the address where the socket comes from."""

    async def changed(payload: bytes) -> None:
        event = events.decode(payload, Tenant)
        admission.learn(event.tenant_id, event.data)
        for connection in registry.of(event.tenant_id):
            if (refusal := event.data.refusal(connection.address)) is not None:
                connection.revoke(refusal.code, refusal.detail)

    bus.listen(TENANTS, changed)


def follow_settings(live: Live, bus: Bus, database: Database) -> None:
    """Keeps whom tenants let in and where their days begin; what is open is judged by the latter at once."""

    async def hear(payload: bytes) -> None:
        event = events.decode(payload, Tenant)
        for pipeline_id in live.definitions.relocate(event.tenant_id, event.data.time_zone):
            await pipeline_changed(live, event.tenant_id, pipeline_id)

    bus.consume(Consumer("realtime-tenants", TENANTS, Tenant, keep_tenant), database)
    bus.listen(TENANTS, hear)


async def keep_tenant(connection: Connection, event: Event[Tenant]) -> None:
    """Keeps the settings of a tenant that is there."""
    if not event.type.endswith(".deleted"):
        await tenants.keep(connection, event.tenant_id, event.data)


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

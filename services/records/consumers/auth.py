"""What `auth` announces: users, whom fields may name, and the end of tenants."""

from uuid import UUID

import msgspec

from libs.common import events, purge
from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.records.storage import tenants, users
from services.records.usecases.catalog import Catalog
from services.records.usecases.tenants import Tenant

TENANTS = "evt.*.auth.tenant.*"


class User(msgspec.Struct, frozen=True):
    """The user that an event speaks of."""

    id: UUID
    name: str


def listen(bus: Bus, database: Database, catalog: Catalog) -> None:
    """Follows users and what tenants want, and lets memory go of tenants that are gone."""

    async def gone(payload: bytes) -> None:
        catalog.forget(events.decode(payload, purge.Tenant).tenant_id)

    bus.consume(Consumer("records-tenants", TENANTS, Tenant, keep_tenant), database)
    bus.listen(TENANTS, catalog.tenants.hear)
    bus.consume(Consumer("records-users", "evt.*.auth.user.*", User, keep_user), database)
    bus.listen(purge.SUBJECT, gone)


async def keep_user(connection: Connection, event: Event[User]) -> None:
    """Keeps a user, or lets go of one who is deleted; records that name them keep the id."""
    if event.type.endswith(".deleted"):
        await users.forget(connection, event.tenant_id, event.data.id)
    else:
        await users.keep(connection, event.tenant_id, event.data.id, event.data.name)


async def keep_tenant(connection: Connection, event: Event[Tenant]) -> None:
    """Keeps what a tenant wants."""
    if not event.type.endswith(".deleted"):
        it = event.data
        await tenants.put(
            connection, it.id, require_if_match=it.require_if_match, trash_days=it.trash_days, time_zone=it.time_zone
        )

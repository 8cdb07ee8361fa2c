"""What `auth` announces: users, whom fields may name; and a tenant that is deleted takes all its records along."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.records.storage import records, users
from services.records.usecases.catalog import Catalog


class Tenant(msgspec.Struct, frozen=True):
    """The tenant that an event speaks of."""

    id: UUID


class User(msgspec.Struct, frozen=True):
    """The user that an event speaks of."""

    id: UUID
    name: str


def listen(bus: Bus, database: Database, catalog: Catalog) -> None:
    """Follows users and the end of tenants."""

    async def deleted(connection: Connection, event: Event[Tenant]) -> None:
        await records.forget_tenant(connection, event.tenant_id)
        catalog.forget(event.tenant_id)

    bus.consume(Consumer("records-users", "evt.*.auth.user.*", User, keep_user), database)
    bus.consume(Consumer("records-tenants", "evt.*.auth.tenant.deleted", Tenant, deleted), database)


async def keep_user(connection: Connection, event: Event[User]) -> None:
    """Keeps a user, or lets go of one who is deleted; records that name them keep the id."""
    if event.type.endswith(".deleted"):
        await users.forget(connection, event.tenant_id, event.data.id)
    else:
        await users.keep(connection, event.tenant_id, event.data.id, event.data.name)

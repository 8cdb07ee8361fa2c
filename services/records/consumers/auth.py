"""What `auth` announces: a tenant that is deleted takes all its records along."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.records.storage import records
from services.records.usecases.catalog import Catalog


class Tenant(msgspec.Struct, frozen=True):
    """The tenant that an event speaks of."""

    id: UUID


def listen(bus: Bus, database: Database, catalog: Catalog) -> None:
    """Follows the end of tenants."""

    async def deleted(connection: Connection, event: Event[Tenant]) -> None:
        await records.forget_tenant(connection, event.tenant_id)
        catalog.forget(event.tenant_id)

    bus.consume(Consumer("records-tenants", "evt.*.auth.tenant.deleted", Tenant, deleted), database)

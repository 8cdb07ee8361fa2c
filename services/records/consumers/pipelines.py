"""What `pipelines` announces: definitions and relationship types, into our own tables and into memory."""

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.records.domain.definitions import Definition, RelationshipType
from services.records.domain.indexes import wanted
from services.records.domain.views import View
from services.records.storage import definitions, edges, indexes, uniques, views
from services.records.usecases import searching
from services.records.usecases.catalog import Catalog

PIPELINES = "evt.*.pipelines.pipeline.*"
VIEWS = "evt.*.pipelines.view.*"
TYPES = "evt.*.pipelines.relationship_type.*"


def listen(bus: Bus, database: Database, catalog: Catalog) -> None:
    """Follows definitions, durably into the tables and at once into memory."""
    bus.consume(Consumer("records-pipelines", PIPELINES, Definition, keep_pipeline), database)
    bus.consume(Consumer("records-relationship-types", TYPES, RelationshipType, keep_type), database)
    bus.consume(Consumer("records-views", VIEWS, View, keep_view), database)
    bus.listen(PIPELINES, catalog.hear_pipeline)
    bus.listen(TYPES, catalog.hear_type)


async def keep_pipeline(connection: Connection, event: Event[Definition]) -> None:
    """Keeps a definition, and which indexes it wants; a field that has become unique takes the values there are."""
    definition = event.data
    before = await definitions.pipeline(connection, event.tenant_id, definition.id)
    if not await definitions.put_pipeline(connection, event.tenant_id, definition):
        return
    known = {field.name for field in before.fields if field.unique} if before else set()
    for field in definition.fields:
        if before is not None and field.unique and field.name not in known:
            folded = field.type == "email"
            await uniques.backfill(connection, event.tenant_id, definition.id, field.name, folded=folded)
    await searching.want_rebuild(connection, event.tenant_id, before, definition)
    await indexes.want(connection, event.tenant_id, definition.id, wanted(definition))


async def keep_view(connection: Connection, event: Event[View]) -> None:
    """Keeps a view."""
    await views.put(connection, event.tenant_id, event.data)


async def keep_type(connection: Connection, event: Event[RelationshipType]) -> None:
    """Keeps a type; its relationships follow it to a new name."""
    before = await definitions.type_name(connection, event.tenant_id, event.data.id)
    await definitions.put_type(connection, event.tenant_id, event.data)
    if before is not None and before != event.data.name:
        await edges.rename(connection, event.tenant_id, before, event.data.name)

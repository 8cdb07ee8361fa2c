"""What `pipelines` announces: definitions and relationship types, into our own tables and into memory."""

from uuid import UUID

from libs.common import outbox
from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.records.domain.computing import Across, computing
from services.records.domain.definitions import Definition, Pending, RelationshipType
from services.records.domain.views import View
from services.records.storage import computing as computing_storage
from services.records.storage import definitions, edges, jobs, views
from services.records.usecases import indexing, links, searching
from services.records.usecases.catalog import SCHEMA, Catalog
from services.records.usecases.jobs import COMPUTE, insert
from services.records.usecases.reshaping import principal

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
    catalog.views.listen(bus, VIEWS)
    for state in ("done", "failed"):
        bus.listen(f"evt.*.records.job.{state}", catalog.hear_job)


async def keep_pipeline(connection: Connection, event: Event[Definition]) -> None:
    """Keeps a definition, which indexes it wants, and what it asks of records, which jobs do; links name its fields
    as they are called now.
    """
    definition = event.data
    before = await definitions.pipeline(connection, event.tenant_id, definition.id)
    if not await definitions.put_pipeline(connection, event.tenant_id, definition):
        return
    if before is not None:
        await _unclaim(connection, event.tenant_id, before, definition)
    known = {pending.job_id for pending in before.pending} if before else set()
    for pending in definition.pending:
        if pending.job_id not in known:
            await _bring_along(connection, event.tenant_id, definition.id, pending)
            if pending.renames:
                await links.rename(connection, event.tenant_id, definition.id, pending.renames)
    await _look(connection, event.tenant_id, before, definition)
    await searching.want_rebuild(connection, event.tenant_id, before, definition)
    await indexing.want(connection, event.tenant_id, definition)


async def _bring_along(connection: Connection, tenant_id: UUID, pipeline_id: UUID, pending: Pending) -> None:
    """Begins the job that does to records what a definition asks."""
    if await jobs.get(connection, tenant_id, pending.job_id) is None:
        by, given = principal(tenant_id, pending.by), {"version": pending.version}
        job = await jobs.insert(connection, by, pending.job_id, SCHEMA, given, pipeline_id, None)
        await outbox.record(connection, tenant_id, [job.event("created")])


async def _look(connection: Connection, tenant_id: UUID, before: Definition | None, now: Definition) -> None:
    """Notes what computed fields look at, so that who writes there lets them follow. Records that are there when a
    pipeline is first heard of are computed anew, by then.
    """
    old, new = _across(before), _across(now)
    if before is None and await computing_storage.following(connection, tenant_id, now.id):
        await computing_storage.follow(connection, tenant_id, [now.id])
    if old == new:
        return
    await computing_storage.follow(connection, tenant_id, {it.target for it in (*old, *new)})
    if before is None and now.by is not None:
        await insert(connection, principal(tenant_id, now.by), COMPUTE, {"fence": True}, now.id)


def _across(definition: Definition | None) -> tuple[Across, ...]:
    found = None if definition is None else computing(definition.fields)
    return () if found is None else found.across


async def _unclaim(connection: Connection, tenant_id: UUID, before: Definition, now: Definition) -> None:
    """Begins the job that forgets the claims of fields that are not unique any more."""
    used = {now.claim_of(field.name) for field in now.fields if field.unique}
    gone = {before.claim_of(field.name) for field in before.fields if field.unique} - used
    if gone and now.by is not None:
        by = principal(tenant_id, now.by)
        await jobs.insert(connection, by, new_id(), SCHEMA, {"claims": sorted(gone)}, now.id, None)


async def keep_view(connection: Connection, event: Event[View]) -> None:
    """Keeps a view, and which indexes its pipeline wants with it."""
    await views.put(connection, event.tenant_id, event.data)
    definition = await definitions.pipeline(connection, event.tenant_id, event.data.pipeline_id)
    if definition is not None:
        await indexing.want(connection, event.tenant_id, definition)


async def keep_type(connection: Connection, event: Event[RelationshipType]) -> None:
    """Keeps a type; its relationships follow it to a new name."""
    before = await definitions.type_name(connection, event.tenant_id, event.data.id)
    await definitions.put_type(connection, event.tenant_id, event.data)
    if before is not None and before != event.data.name:
        await edges.rename(connection, event.tenant_id, before, event.data.name)

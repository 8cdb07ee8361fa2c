"""Relate records, part them, and tell what a record is related to."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from libs.common.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from libs.common.ids import NIL
from libs.common.postgres import Connection
from services.records.domain import attributes, fields
from services.records.domain.masks import Masks
from services.records.domain.operations import Link
from services.records.domain.reach import Reach
from services.records.domain.records import Change, Edge, advanced
from services.records.domain.values import Wrong
from services.records.storage import edges, records
from services.records.storage.records import Locked
from services.records.usecases.caller import Caller
from services.records.usecases.create import LinkRequest, links
from services.records.usecases.relating import cardinality_fault
from services.records.usecases.trash import without
from services.records.usecases.writing import Writer

MAX_COUNTED = 100_000
PAGE = 1_000


async def relationships(
    caller: Caller, pipeline_id: UUID, record_id: UUID, after: UUID, type_: str | None, limit: int
) -> list[Edge]:
    """Up to one more than the limit of a record's relationships to others that may be seen, ordered by id."""
    reach = await caller.reach(pipeline_id)

    async def work() -> list[Edge]:
        found: list[Edge] = []
        last = after
        async with caller.database.tenant(caller.tenant_id) as connection:
            await _require_visible(caller, reach, connection, record_id)
            while len(found) <= limit:
                rows = await edges.page(connection, caller.tenant_id, record_id, last, type_, limit + 1)
                found += await _visible(caller, reach, connection, record_id, rows)
                if len(rows) <= limit:
                    break
                last = rows[-1].id
        return found[: limit + 1]

    return await caller.warmed(work)


async def count_relationships(caller: Caller, pipeline_id: UUID, record_id: UUID, type_: str | None) -> int:
    """How many of the first `MAX_COUNTED` relationships of a record are to others that may be seen."""
    reach = await caller.reach(pipeline_id)

    async def work() -> int:
        number, last = 0, NIL
        async with caller.database.tenant(caller.tenant_id) as connection:
            await _require_visible(caller, reach, connection, record_id)
            for _ in range(MAX_COUNTED // PAGE):
                rows = await edges.page(connection, caller.tenant_id, record_id, last, type_, PAGE)
                number += len(await _visible(caller, reach, connection, record_id, rows))
                if len(rows) < PAGE:
                    break
                last = rows[-1].id
        return number

    return await caller.warmed(work)


async def relate(caller: Caller, pipeline_id: UUID, record_id: UUID, wanted: LinkRequest) -> Edge:
    """The new relationship; the record must be one the caller may change, the other one they may see."""

    async def work(reach: Reach) -> Edge:
        reach.require("update")
        (link,) = await links(caller, pipeline_id, [wanted], pointer="")
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            edge = await _link(writer, record_id, link)
            writer.announce([], [edge], [])
            await writer.publish()
        return edge

    return await caller.settled(pipeline_id, work)


async def describe(
    caller: Caller, pipeline_id: UUID, record_id: UUID, edge_id: UUID, patch: Mapping[str, object] | None
) -> Edge:
    """The relationship with a merge patch of its attributes, or without any; one that a relation field made may be
    described by who may write the field.
    """

    async def work(reach: Reach) -> Edge:
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            row = _changeable(writer, await writer.lock([record_id]), record_id)
            edge = await edges.hold(connection, caller.tenant_id, edge_id)
            if edge is None or record_id not in (edge.source_id, edge.target_id):
                raise NotFound("There is no such relationship")
            if not await _visible(caller, reach, connection, record_id, [edge]):
                raise NotFound("There is no such relationship")
            if edge.field and edge.source_id != record_id:
                raise Forbidden("A relation is described from the record whose field it is")
            writer.update.check_writing(frozenset((edge.field,) if edge.field else ()), row.updates)
            described = msgspec.structs.replace(edge, attributes=_described(edge.attributes, patch))
            await edges.describe(connection, caller.tenant_id, described)
            writer.tell(described.event("updated"))
            await writer.publish()
        return described

    return await caller.settled(pipeline_id, work)


def _described(known: str | None, patch: Mapping[str, object] | None) -> str | None:
    found = attributes.patched(known, patch)
    if isinstance(found, Wrong):
        raise Invalid(errors=found.faults("/attributes"))
    return found


async def unrelate(caller: Caller, pipeline_id: UUID, record_id: UUID, edge_id: UUID) -> None:
    """Parts two records; what a relation field made is taken out of the field as well."""

    async def work(reach: Reach) -> None:
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            _changeable(writer, await writer.lock([record_id]), record_id)
            edge = await edges.get(connection, caller.tenant_id, edge_id)
            if edge is None or record_id not in (edge.source_id, edge.target_id):
                raise NotFound("There is no such relationship")
            if not await _visible(caller, reach, connection, record_id, [edge]):
                raise NotFound("There is no such relationship")
            changes = await _clear_field(caller, connection, edge) if edge.field else []
            writer.announce(changes, [], await edges.delete(connection, caller.tenant_id, [edge_id]))
            await writer.publish()

    await caller.settled(pipeline_id, work)


async def _require_visible(caller: Caller, reach: Reach, connection: Connection, record_id: UUID) -> None:
    read = reach.access("read")
    seen = await records.visible(connection, caller.tenant_id, [record_id], read, caller.context, hold=False)
    if not seen:
        raise NotFound("There is no such record")


async def _visible(
    caller: Caller, reach: Reach, connection: Connection, record_id: UUID, found: list[Edge]
) -> list[Edge]:
    """Those whose other end may be seen, and whose field may."""
    others: dict[UUID, set[UUID]] = {}
    for edge in found:
        pipeline_id, other = _other(edge, record_id)
        others.setdefault(pipeline_id, set()).add(other)
    seen: set[UUID] = set()
    for pipeline_id, ids in others.items():
        seen |= await visible_ids(caller, reach, connection, pipeline_id, ids)
    masks = Masks(caller.permissions)
    return [e for e in found if _other(e, record_id)[1] in seen and masks.shows(e.source_pipeline, e.field)]


async def visible_ids(
    caller: Caller, reach: Reach, connection: Connection, pipeline_id: UUID, ids: set[UUID]
) -> set[UUID]:
    """Which of the records of a pipeline, whichever it is, may be seen."""
    other = reach if reach.leads_to(pipeline_id) else caller.warm_reach(pipeline_id)
    if other is None:
        return set()
    access = other.access("read", pipeline_id)
    return await records.visible(connection, caller.tenant_id, ids, access, caller.context, hold=False)


def _other(edge: Edge, record_id: UUID) -> tuple[UUID, UUID]:
    if edge.source_id == record_id:
        return edge.target_pipeline, edge.target_id
    return edge.source_pipeline, edge.source_id


def _changeable(writer: Writer, rows: dict[UUID, Locked], record_id: UUID) -> Locked:
    row = writer.present(rows, record_id)
    if not writer.update.holds(row.updates):
        raise Forbidden("No grant allows this record to be changed")
    return row


async def _link(writer: Writer, record_id: UUID, link: Link) -> Edge:
    row = _changeable(writer, await writer.lock([record_id]), record_id)
    if link.target_id not in await writer.seen(link.target_pipeline, {link.target_id}):
        raise Invalid(errors=[Fault("/target_record", "not_found", f"There is no record {link.target_id}")])
    edge = link.edge(row.record())
    if edge.id not in await edges.insert(writer.connection, writer.caller.principal, writer.caller.now, [edge]):
        if await edges.same(writer.connection, writer.tenant_id, edge):
            raise Conflict("The records are related in this way already", code="duplicate-relationship")
        fault = cardinality_fault(edge)
        raise Invalid(errors=[msgspec.structs.replace(fault, pointer="/relationship_type")])
    return edge


async def _clear_field(caller: Caller, connection: Connection, edge: Edge) -> list[Change]:
    """The field is changed as any other: its record must be one whose field the caller may write."""
    reach = caller.warm_reach(edge.source_pipeline)
    if reach is None:
        return []
    writer = Writer(caller, reach, connection)
    row = writer.present(await writer.lock([edge.source_id]), edge.source_id)
    writer.update.check_writing(frozenset((edge.field,)), row.updates)
    before = row.record()
    data = dict(before.data)
    if not without(data, edge.field, {str(edge.target_id)}):
        return []
    field = writer.pipeline.fields.get(edge.field)
    if field is not None and field.required and not data.get(edge.field):
        _, faults = fields.changed(writer.pipeline, before.data, {edge.field: None})
        raise Invalid(errors=faults)
    after = advanced(before, data, writer.pipeline.title(data), caller.principal.id, caller.now)
    change = Change("updated", after, [edge.field], before)
    await records.advance(connection, caller.principal, caller.now, [change])
    return [change]

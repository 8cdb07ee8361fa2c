"""Relation fields reach beyond their pipeline: to a target that exists, through a type that is made on first use."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.errors import Conflict, Fault
from libs.common.events import NewEvent
from libs.common.ids import new_id
from libs.common.postgres import Connection
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.definitions import Placed
from services.pipelines.domain.fields import Cardinality, RelationField
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.relationship_types import (
    MAX_TYPES,
    RelationshipType,
    announcement,
    inverse_of,
    widened,
)
from services.pipelines.storage import pipelines, relationship_types


async def link(
    connection: Connection, caller: Caller, pipeline_id: UUID, placed: Sequence[Placed], names: set[str]
) -> list[Fault]:
    """Joins the relation fields among new fields to their targets and types; tells what cannot be joined.

    `names` are the fields of the pipeline itself, which a relation to itself may display.
    """
    relations = [(pointer, field) for pointer, field in placed if isinstance(field, RelationField)]
    if not relations:
        return []
    await relationship_types.lock_all(connection, caller.tenant)
    targets = await pipelines.find(connection, caller.tenant, (field.target_pipeline for _, field in relations))
    faults: list[Fault] = []
    for pointer, field in relations:
        found = _target_faults(caller, pipeline_id, targets.get(field.target_pipeline), pointer, field, names)
        faults += found or await _type_faults(connection, caller, pipeline_id, pointer, field)
    return faults


def _target_faults(
    caller: Caller, own: UUID, target: Pipeline | None, pointer: str, field: RelationField, names: set[str]
) -> list[Fault]:
    if field.target_pipeline != own:
        if target is None or not caller.sees(target.id):
            return [Fault(f"{pointer}/target_pipeline", "unknown_pipeline", "There is no such pipeline")]
        names = {other.name for other in target.fields}
    if field.display_field is not None and field.display_field not in names:
        detail = f"The target has no field '{field.display_field}'"
        return [Fault(f"{pointer}/display_field", "unknown_name", detail)]
    return []


async def _type_faults(
    connection: Connection, caller: Caller, source: UUID, pointer: str, field: RelationField
) -> list[Fault]:
    try:
        kind = await ensure(
            connection, caller, field.relationship_type, source, field.target_pipeline, field.cardinality
        )
    except Conflict as conflict:
        return [Fault(f"{pointer}/relationship_type", "mismatch", conflict.detail)]
    if not kind.carries(field.cardinality):
        detail = f"'{kind.name}' is {kind.cardinality}"
        return [Fault(f"{pointer}/cardinality", "mismatch", detail)]
    return []


async def ensure(
    connection: Connection,
    caller: Caller,
    name: str,
    source: UUID | None,
    target: UUID | None,
    cardinality: Cardinality = "many_to_many",
) -> RelationshipType:
    """The type of that name that joins these pipelines; made, or grown if it was made so, where the caller may.

    The caller of this function holds `relationship_types.lock_all`.
    """
    known = await relationship_types.find(connection, caller.tenant, name)
    if known is not None and known.joins(source, target):
        return known
    if known is not None and not known.implicit:
        raise Conflict(f"'{name}' joins other pipelines", code="relationship-type-mismatch")
    caller.require_types("manage")
    if known is not None:
        return await _grow(connection, caller, widened(known, source, target))
    return await _make(connection, caller, name, source, target, cardinality)


async def _grow(connection: Connection, caller: Caller, kind: RelationshipType) -> RelationshipType:
    grown = msgspec.structs.replace(kind, version=kind.version + 1, updated_at=clock.now(), updated_by=caller.id)
    await relationship_types.update(connection, caller.tenant, grown)
    await announce(connection, caller, "updated", grown)
    return grown


async def _make(
    connection: Connection,
    caller: Caller,
    name: str,
    source: UUID | None,
    target: UUID | None,
    cardinality: Cardinality,
) -> RelationshipType:
    now = clock.now()
    kind = RelationshipType(
        id=new_id(), version=1, name=name, inverse_name=inverse_of(name), source_pipeline=source,
        target_pipeline=target, cardinality=cardinality, on_delete="unlink", implicit=True,
        created_at=now, created_by=caller.id, updated_at=now, updated_by=caller.id,
    )  # fmt: skip
    await insert(connection, caller, kind)
    return kind


async def insert(connection: Connection, caller: Caller, kind: RelationshipType) -> None:
    """Writes a new type and tells of it; the caller of this function holds `relationship_types.lock_all`."""
    if await relationship_types.count(connection, caller.tenant) >= MAX_TYPES:
        raise Conflict(f"There are {MAX_TYPES} types of relationships, as many as there may be", code="too-many")
    await relationship_types.insert(connection, caller.tenant, kind)
    await announce(connection, caller, "created", kind)


async def announce(connection: Connection, caller: Caller, verb: str, kind: RelationshipType) -> None:
    """Writes the event of a change to the outbox."""
    data = announcement(kind, deleted=verb == "deleted")
    await outbox.record(connection, caller.tenant, [NewEvent(f"pipelines.relationship_type.{verb}", kind.id, data)])

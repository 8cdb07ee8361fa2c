from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from libs.common.errors import Conflict, Fault, NotFound
from libs.common.postgres import Connection, Database
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.changes import check_identity, merge
from services.pipelines.domain.definitions import (
    FIELDS,
    MAX_FIELDS,
    Fields,
    Placed,
    attribute_faults,
    read_field,
    reference_faults,
    size_faults,
)
from services.pipelines.domain.evolution import Step
from services.pipelines.domain.fields import AnyField
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.rules import rules_faults
from services.pipelines.domain.schemas import Trashed
from services.pipelines.storage import schemas
from services.pipelines.usecases import computed, evolve, pipelines, renames

FOLLOWED = {"expression", "relation", "function", "field"}
FOLLOWING = {"result_type", "multiple", "relationship_type", "inverse", "target_pipeline"}
Versions = Collection[int] | None


async def add(
    database: Database, caller: Caller, pipeline_id: UUID, value: dict[str, Any], expected: Versions
) -> Pipeline:
    """Adds a field at the end; records that are there have no value for it, or its default where it is required."""
    caller.require("update", pipeline_id)
    field, faults = read_field(value, "")
    async with database.tenant(caller.tenant) as connection:
        old = await pipelines.locked(connection, caller, pipeline_id, expected)
        faults += _crowded(old, value.get("name"))
        fields = old.fields if field is None else (*old.fields, field)
        placed = [] if field is None else [("", field)]
        faults += _among(fields, placed)
        new = replace(old, fields=fields)
        new = await pipelines.check(connection, caller, new, placed, faults)
        new, _ = await evolve.follow(connection, caller, old, new, Step(fields=new.fields))
        return await pipelines.write(connection, caller, "updated", new)


async def change(
    database: Database, caller: Caller, pipeline_id: UUID, name: str, patch: dict[str, Any], expected: Versions
) -> Pipeline:
    """Changes a field by a merge patch (RFC 7396), as far as the records that are there still fit."""
    caller.require("update", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        old = await pipelines.locked(connection, caller, pipeline_id, expected)
        index = _place(old, name)
        check_identity(old.fields[index], patch)
        field, faults = read_field(merge(_given(old.fields[index], patch), patch), "")
        fields = tuple(field if i == index and field is not None else f for i, f in enumerate(old.fields))
        placed = [] if field is None else [("", field)]
        faults += _among(fields, placed)
        return await pipelines.save(connection, caller, old, replace(old, fields=fields), placed, faults)


async def remove(
    database: Database, caller: Caller, pipeline_id: UUID, name: str, expected: Versions, *, permanent: bool = False
) -> Pipeline:
    """Takes a field away, into the trash or for good; `Conflict` where the title or a stage still names it."""
    caller.require("update", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        old = await pipelines.locked(connection, caller, pipeline_id, expected)
        if permanent and old.place(name) is None:
            return await _purge(connection, caller, old, name)
        index = _place(old, name)
        new = replace(old, fields=old.fields[:index] + old.fields[index + 1 :])
        await _check_unnamed(connection, caller, new, name)
        new, _ = await evolve.follow(connection, caller, old, new, Step(fields=new.fields, purge=permanent))
        return await pipelines.write(connection, caller, "updated", new)


async def _purge(connection: Connection, caller: Caller, old: Pipeline, name: str) -> Pipeline:
    keys = [gone.key for gone in await schemas.trash(connection, caller.tenant, old.id, name)]
    if not keys:
        raise NotFound(f"There is no field '{name}', nor is one in the trash")
    return await pipelines.write(connection, caller, "updated", await evolve.purge(connection, caller, old, keys))


async def trash(database: Database, caller: Caller, pipeline_id: UUID) -> list[Trashed]:
    """The fields that were removed and may be restored, the last first."""
    await pipelines.get(database, caller, pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        return await schemas.trash(connection, caller.tenant, pipeline_id)


async def restore(database: Database, caller: Caller, pipeline_id: UUID, name: str, expected: Versions) -> Pipeline:
    """Puts the field of that name that was removed last where it is again, at the end, with what records had in it."""
    caller.require("update", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        old = await pipelines.locked(connection, caller, pipeline_id, expected)
        gone = next(iter(await schemas.trash(connection, caller.tenant, pipeline_id, name)), None)
        if gone is None:
            raise NotFound(f"There is no field '{name}' in the trash")
        faults = _crowded(old, name)
        if faults:
            raise Conflict("There is no room for the field", errors=faults)
        (field,) = await renames.caught_up(connection, caller, pipeline_id, (gone.field,))
        fields = (*old.fields, field)
        new = replace(old, fields=fields)
        new = await pipelines.check(connection, caller, new, [("", field)], _among(fields, [("", field)]))
        new, _ = await evolve.follow(connection, caller, old, new, Step(fields=new.fields, restores={gone.key: name}))
        return await pipelines.write(connection, caller, "updated", new)


def _place(pipeline: Pipeline, name: str) -> int:
    index = pipeline.place(name)
    if index is None:
        raise NotFound(f"There is no field '{name}'")
    return index


def _crowded(pipeline: Pipeline, name: object) -> list[Fault]:
    faults = []
    if isinstance(name, str) and pipeline.place(name) is not None:
        faults.append(Fault("/name", "duplicate", f"There is another field '{name}'"))
    if len(pipeline.fields) >= MAX_FIELDS:
        faults.append(Fault("", "too_many", f"A pipeline has at most {MAX_FIELDS} fields"))
    return faults


def _among(fields: Fields, placed: Sequence[Placed]) -> list[Fault]:
    """What a field's body has wrong among all the fields; the others are right already."""
    pointers = {field.name: pointer for pointer, field in placed}
    others = [(f"{FIELDS}/{i}", field) for i, field in enumerate(fields) if field.name not in pointers]
    names = [field.name for field in fields]
    return [*reference_faults([*others, *placed], names), *size_faults(fields, "")]


def _given(field: AnyField, patch: dict[str, Any]) -> dict[str, Any]:
    """A field as it may have been given: what followed from what changes now follows anew."""
    values: dict[str, Any] = msgspec.to_builtins(field)
    if patch.keys() & FOLLOWED:
        values = {name: value for name, value in values.items() if name not in FOLLOWING}
    return values


async def _check_unnamed(connection: Connection, caller: Caller, pipeline: Pipeline, removed: str) -> None:
    names = [field.name for field in pipeline.fields]
    placed: list[tuple[str, AnyField]] = [(f"{FIELDS}/{i}", field) for i, field in enumerate(pipeline.fields)]
    faults = [*attribute_faults(msgspec.structs.asdict(pipeline), names), *reference_faults(placed, names)]
    faults += rules_faults(pipeline.rules, pipeline.fields)
    faults = faults or (await computed.settled(connection, caller, pipeline, []))[1]
    if faults:
        raise Conflict(f"'{removed}' is named elsewhere in the definition", errors=faults)

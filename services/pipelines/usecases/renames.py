"""What fields say of those of other pipelines follows these to their new names."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from msgspec.structs import replace

from libs.common.postgres import Connection
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.computed import looked_at, renamed_look
from services.pipelines.domain.definitions import Fields
from services.pipelines.domain.evolution import Pending, Step, renamed_display
from services.pipelines.domain.fields import AcrossField, AnyField, RelationField
from services.pipelines.storage import pipelines as storage
from services.pipelines.storage import schemas
from services.pipelines.usecases import evolve, pipelines


async def lock(connection: Connection, caller: Caller, target: UUID) -> None:
    """Holds a pipeline and those that may speak of it, all in one order and before anything else is waited for."""
    await storage.lock_speaking(connection, caller.tenant, target)


async def follow(connection: Connection, caller: Caller, target: UUID, renames: Mapping[str, str]) -> None:
    """Lets relations of other pipelines show fields of this one, and lookups and rollups look at them, by their new
    names; what is computed is computed anew, so it comes right whatever was written meanwhile.
    """
    for it in await storage.lock_speaking(connection, caller.tenant, target):
        shown = tuple(renamed_display(field, renames, target) for field in it.fields)
        fields = tuple(renamed_look(field, renames, target) for field in shown)
        new = replace(it, fields=fields)
        if fields != shown:
            new, _ = await evolve.follow(connection, caller, it, new, Step(fields=fields))
        if fields != it.fields:
            await pipelines.write(connection, caller, "updated", new)


async def caught_up(connection: Connection, caller: Caller, own: UUID, fields: Fields) -> Fields:
    """Fields of an earlier time, which speak of those of other pipelines by the names that these have by now."""
    others = {it for field in fields if (it := _target(field)) is not None} - {own}
    for target, pipeline in (await storage.find(connection, caller.tenant, others)).items():
        there = {field.name for field in pipeline.fields}
        said = {name for field in fields if _target(field) == target for name in _said(field)}
        if said <= there:
            continue
        asked = await schemas.asked_since(connection, caller.tenant, target, 0)
        renames = _latest(said - there, asked)
        shown = (renamed_display(field, renames, target) for field in fields)
        fields = tuple(renamed_look(field, renames, target) for field in shown)
    return fields


def _target(field: AnyField) -> UUID | None:
    return field.target_pipeline if isinstance(field, RelationField | AcrossField) else None


def _said(field: AnyField) -> frozenset[str]:
    if isinstance(field, AcrossField):
        return looked_at(field)
    shown = field.display_field if isinstance(field, RelationField) else None
    return frozenset() if shown is None else frozenset((shown,))


def _latest(names: Iterable[str], asked: Iterable[Pending]) -> dict[str, str]:
    """What fields that were called so are called now; of two that were, the later one."""
    called = {name: name for name in names}
    for it in asked:
        called = {was: it.renames.get(was, it.renames.get(now, now)) for was, now in called.items()}
    return called

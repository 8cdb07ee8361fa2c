"""Computed fields look beyond themselves: at fields beside them, at other pipelines, through types of relationships."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec
from msgspec.structs import replace

from libs.common.errors import Conflict, Fault
from libs.common.filters.renaming import renamed_path
from libs.common.formulas import names_of
from libs.common.postgres import Connection
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.computed import (
    Around,
    Resolution,
    cycle_fault,
    environment,
    looked_at,
    users_of,
)
from services.pipelines.domain.definitions import Fields, Placed
from services.pipelines.domain.fields import AcrossField, ComputedField, FormulaField, RelationField
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.storage import pipelines as storage
from services.pipelines.storage import relationship_types


class Names(msgspec.Struct, frozen=True):
    """What becomes of names of fields: those that change, and those whose fields go."""

    renamed: Mapping[str, str] = {}
    removed: Collection[str] = frozenset()


STAYING = Names()


async def settled(
    connection: Connection, caller: Caller, pipeline: Pipeline, placed: Sequence[Placed], names: Names = STAYING
) -> tuple[Pipeline, list[Fault]]:
    """The pipeline with what follows for its computed fields, and what is wrong with them; `placed` came with the body.

    `Conflict` where computed fields of other pipelines look at what is gone by then; those that look at what goes by
    another name will follow.
    """
    await storage.lock_computed(connection, caller.tenant)
    known = {it.id: it for it in await storage.computed(connection, caller.tenant)}
    _check_used(known, pipeline, names)
    own = [field for field in pipeline.fields if isinstance(field, ComputedField)]
    if not own:
        return pipeline, []
    across = any(isinstance(field, AcrossField) for field in own)
    types = await relationship_types.page(connection, caller.tenant, UUID(int=0), 1000) if across else []
    targets = {end for kind in types for end in (kind.source_pipeline, kind.target_pipeline) if end is not None}
    targets |= {field.target_pipeline for field in pipeline.fields if isinstance(field, RelationField)}
    targets |= {it.target_pipeline for it in own if isinstance(it, AcrossField) and it.target_pipeline is not None}
    found = await storage.find(connection, caller.tenant, targets - known.keys() - {pipeline.id}) if across else {}
    others = {it.id: it for it in (*known.values(), *found.values()) if it.id != pipeline.id}
    around = Around({it.id: it.fields for it in others.values()}, types, {it.id: it.slug for it in others.values()})
    places = {field.name: pointer for pointer, field in placed}
    resolution = Resolution(pipeline.id, pipeline.fields, around)
    fields = resolution.run(places)
    faults = resolution.faults or _unseen(caller, pipeline, fields, places, others)
    if not faults and across:
        faults = _circle(pipeline, fields, around, places)
    return replace(pipeline, fields=fields), faults


def _circle(pipeline: Pipeline, fields: Fields, around: Around, places: dict[str, str]) -> list[Fault]:
    everything = Around(
        {**around.fields, pipeline.id: fields}, around.types, {**around.slugs, pipeline.id: pipeline.slug}
    )
    detail = cycle_fault(pipeline.id, everything)
    if detail is None:
        return []
    given = [places[it.name] for it in fields if isinstance(it, ComputedField) and it.name in places]
    return [Fault(given[0] if given else "/fields", "cycle", detail)]


def _unseen(
    caller: Caller, pipeline: Pipeline, fields: Fields, places: dict[str, str], others: dict[UUID, Pipeline]
) -> list[Fault]:
    """A computed field shows what it looks at, so who defines it must be one who may read that: to others it is not
    there.
    """
    faults: list[Fault] = []
    for field in fields:
        if field.name not in places or not isinstance(field, ComputedField):
            continue
        target, names, at = pipeline.id, frozenset[str](), "/field"
        if isinstance(field, FormulaField):
            names, at = names_of(field.expression), "/expression"
        elif isinstance(field, AcrossField) and field.target_pipeline is not None:
            target, names = field.target_pipeline, looked_at(field)
            if target != pipeline.id and not caller.sees(target):
                detail = f"No relation '{field.relation}' begins here"
                faults.append(Fault(f"{places[field.name]}/relation", "unknown_relation", detail))
                continue
        if hidden := sorted(name for name in names if not _reads(caller, target, name)):
            detail = f"There is no field '{hidden[0]}' that you may read"
            faults.append(Fault(f"{places[field.name]}{at}", "unknown_name", detail))
    return faults


def _reads(caller: Caller, pipeline_id: UUID, name: str) -> bool:
    grants = caller.permissions.alternatives("read", "records", pipeline_id)
    return any(grant.readable_fields is None or name in grant.readable_fields for grant in grants)


def _check_used(known: dict[UUID, Pipeline], new: Pipeline, names: Names) -> None:
    """`Conflict` where others look at fields that are not there any more; those that are, they may look at."""
    around = Around({it.id: it.fields for it in known.values()}, (), {it.id: it.slug for it in known.values()})
    there = {field.name for field in new.fields}.union(names.renamed).difference(names.removed)
    wanted = {
        name
        for it in known.values()
        for field in it.fields
        if it.id != new.id and isinstance(field, AcrossField) and field.target_pipeline == new.id
        for name in looked_at(field)
    }
    if gone := sorted(wanted - there):
        users = users_of(new.id, gone, around)
        raise Conflict(f"Computed fields look at '{gone[0]}': {', '.join(users)}", code="in-use")


async def check_types(
    connection: Connection, caller: Caller, old: Pipeline, new: Pipeline, names: Names = STAYING
) -> None:
    """`Conflict` where a field that others look at has values of another type from now on."""
    before, after = environment(old.fields), environment(new.fields)
    now = {name: renamed_path(name, names.renamed) for name in before}
    changed = [name for name, kind in before.items() if now[name] in after and after[now[name]] != kind]
    if not changed:
        return
    known = await storage.computed(connection, caller.tenant)
    around = Around({it.id: it.fields for it in known}, (), {it.id: it.slug for it in known})
    if users := users_of(new.id, changed, around):
        detail = f"Computed fields look at what is of another type then: {', '.join(users)}"
        raise Conflict(detail, code="in-use")

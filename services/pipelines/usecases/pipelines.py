from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from libs.common import clock, outbox
from libs.common.errors import Fault, Invalid, NotFound
from libs.common.events import NewEvent
from libs.common.formulas import names_of
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.pipelines.domain import names
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.changes import check_changes
from services.pipelines.domain.definitions import FIELDS, MAX_FAULTS, Placed, attribute_faults, field_names, read_fields
from services.pipelines.domain.evolution import Step, by
from services.pipelines.domain.fields import AcrossField, AnyField, FormulaField, RelationField
from services.pipelines.domain.json_schema import json_schema
from services.pipelines.domain.pipelines import (
    Announcement,
    Leading,
    Pipeline,
    announcement,
    check_count,
    check_version,
    free_slug,
)
from services.pipelines.domain.rules import rules_faults
from services.pipelines.storage import pipelines as storage
from services.pipelines.usecases import computed, evolve, relations


class NewPipeline(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline is made of; `fields` are JSON as it came."""

    name: str
    slug: str | None = None
    description: str | None = None
    icon: str | None = None
    color: str | None = None
    title_template: str | None = None
    require_if_match: bool = False
    fields: list[Any]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What shall change; what is unset stays. `fields` replaces all of them."""

    name: str | UnsetType = UNSET
    slug: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    icon: str | UnsetType | None = UNSET
    color: str | UnsetType | None = UNSET
    title_template: str | UnsetType | None = UNSET
    require_if_match: bool | UnsetType = UNSET
    fields: list[Any] | UnsetType = UNSET


async def create(database: Database, caller: Caller, new: NewPipeline) -> Pipeline:
    """Makes a pipeline, and the types of relationships that its relation fields are the first to use."""
    caller.require_any("create")
    async with database.tenant(caller.tenant) as connection:
        return await make(connection, caller, new)


async def make(connection: Connection, caller: Caller, new: NewPipeline) -> Pipeline:
    """The same within a transaction that does more."""
    placed, faults = read_fields(new.fields, FIELDS)
    faults += attribute_faults(msgspec.structs.asdict(new), field_names(new.fields))
    await storage.lock_creation(connection, caller.tenant)
    await _require_room(connection, caller)
    pipeline = _made(caller, new, placed, await _slug(connection, caller, new))
    pipeline = await check(connection, caller, pipeline, placed, faults)
    await storage.insert(connection, caller.tenant, pipeline)
    await announce(connection, caller, "created", pipeline)
    return pipeline


async def get(database: Database, caller: Caller, pipeline_id: UUID) -> Pipeline:
    """A pipeline that is not in the trash."""
    caller.require("read", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        return _present(await storage.get(connection, caller.tenant, pipeline_id))


async def page(
    database: Database, caller: Caller, after: UUID, limit: int, *, trash: bool, count: bool
) -> tuple[list[Pipeline], int | None]:
    """The pipelines that the caller may see, or those in the trash that they may take out; and how many, if asked."""
    scope = caller.scope("delete" if trash else "read")
    async with database.tenant(caller.tenant) as connection:
        rows = await storage.page(connection, caller.tenant, after, scope, limit, trash=trash)
        number = await storage.count(connection, caller.tenant, scope, trash=trash) if count else None
    return rows, number


async def change(
    database: Database, caller: Caller, pipeline_id: UUID, changes: Changes, expected: Collection[int] | None
) -> Pipeline:
    """Changes a pipeline; its fields as far as the records that are there still fit."""
    caller.require("update", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        old = await locked(connection, caller, pipeline_id, expected)
        values = msgspec.to_builtins(old.fields) if isinstance(changes.fields, UnsetType) else changes.fields
        placed, faults = read_fields(values, FIELDS)
        new = replace(old, fields=tuple(field for _, field in placed), **_given(changes))
        faults += attribute_faults(msgspec.structs.asdict(new), field_names(values))
        return await save(connection, caller, old, new, placed, faults)


async def delete(database: Database, caller: Caller, pipeline_id: UUID, expected: Collection[int] | None) -> None:
    """Puts a pipeline into the trash."""
    caller.require("delete", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        old = await locked(connection, caller, pipeline_id, expected)
        await write(connection, caller, "deleted", replace(old, deleted_at=clock.now()))


async def restore(database: Database, caller: Caller, pipeline_id: UUID) -> Pipeline:
    """Takes a pipeline out of the trash; one that is not in it stays as it is."""
    caller.require("delete", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        await storage.lock_creation(connection, caller.tenant)
        found = await storage.lock(connection, caller.tenant, pipeline_id)
        if found is None:
            raise NotFound
        if found.deleted_at is None:
            return found
        await _require_room(connection, caller)
        return await write(connection, caller, "restored", replace(found, deleted_at=None))


async def clone(database: Database, caller: Caller, pipeline_id: UUID, name: str | None, slug: str | None) -> Pipeline:
    """Makes another pipeline with the same fields; a relation to itself becomes one of the copy to itself."""
    caller.require("read", pipeline_id)
    caller.require_any("create")
    async with database.tenant(caller.tenant) as connection:
        await storage.lock_creation(connection, caller.tenant)
        await _require_room(connection, caller)
        source = _present(await storage.get(connection, caller.tenant, pipeline_id))
        copy = _copy(caller, source, name)
        free = await _slug(connection, caller, NewPipeline(name=copy.name, slug=slug, fields=[]))
        copy = replace(copy, slug=free)
        placed = [(f"{FIELDS}/{i}", field) for i, field in enumerate(copy.fields)]
        copy = await check(connection, caller, copy, placed, list(attribute_faults({"slug": slug}, ())))
        await storage.insert(connection, caller.tenant, copy)
        await announce(connection, caller, "created", copy)
    return copy


async def _require_room(connection: Connection, caller: Caller) -> None:
    """Of the creations of a tenant one runs at a time, so that the count is right."""
    count = await storage.count(connection, caller.tenant)
    check_count(count)
    caller.require_room(count)


async def definition(database: Database, tenant_id: UUID, pipeline_id: UUID) -> Announcement:
    """What another service knows of a pipeline, also of one in the trash."""
    async with database.tenant(tenant_id) as connection:
        found = await storage.get(connection, tenant_id, pipeline_id)
    if found is None:
        raise NotFound
    return announcement(found)


async def schema(database: Database, tenant_id: UUID, pipeline_id: UUID) -> dict[str, Any]:
    """The JSON Schema of a pipeline's data, for another service."""
    async with database.tenant(tenant_id) as connection:
        found = await storage.get(connection, tenant_id, pipeline_id)
    if found is None or found.deleted_at is not None:
        raise NotFound
    return json_schema(found)


async def locked(
    connection: Connection, caller: Caller, pipeline_id: UUID, expected: Collection[int] | None
) -> Pipeline:
    """A pipeline out of the trash, in a version that the caller expects, held until the transaction ends."""
    found = _present(await storage.lock(connection, caller.tenant, pipeline_id))
    check_version(found.version, expected)
    return found


async def save(
    connection: Connection, caller: Caller, old: Pipeline, new: Pipeline, placed: list[Placed], faults: list[Fault]
) -> Pipeline:
    """Writes a changed pipeline as its next version; one that did not change stays as it is."""
    check_changes(old.fields, placed)
    fresh = [(pointer, field) for pointer, field in placed if field not in old.fields]
    new = await check(connection, caller, new, fresh, faults)
    if new == old:
        return old
    await computed.check_types(connection, caller, old, new)
    new, _ = await evolve.follow(connection, caller, old, new, Step(fields=new.fields))
    return await write(connection, caller, "updated", new)


async def check(
    connection: Connection, caller: Caller, pipeline: Pipeline, placed: list[Placed], faults: list[Fault],
    named: computed.Names = computed.STAYING,
) -> Pipeline:  # fmt: skip
    """The pipeline with what follows for its computed fields; `Invalid` with these faults, and those that new fields
    have because of what is around them.
    """
    own = {field.name for field in pipeline.fields}
    faults = [*faults, *await relations.link(connection, caller, pipeline.id, placed, own)]
    if not faults:
        pipeline, faults = await computed.settled(connection, caller, pipeline, placed, named)
    faults += rules_faults(pipeline.rules, pipeline.fields)
    if faults:
        raise Invalid("The definition is not valid", errors=faults[:MAX_FAULTS])
    return pipeline


async def write(
    connection: Connection, caller: Caller, verb: str, pipeline: Pipeline, leading: tuple[Leading, ...] = ()
) -> Pipeline:
    """Writes the next version of a pipeline and tells of it, and over what others speak of fields that it renames."""
    written = replace(pipeline, version=pipeline.version + 1, updated_at=clock.now(), updated_by=caller.id)
    await storage.update(connection, caller.tenant, written)
    await announce(connection, caller, verb, written, leading)
    return written


async def announce(
    connection: Connection, caller: Caller, verb: str, pipeline: Pipeline, leading: tuple[Leading, ...] = ()
) -> None:
    """Writes the event of a change to the outbox."""
    told = announcement(pipeline, by(caller.principal), leading)
    await outbox.record(connection, caller.tenant, [NewEvent(f"pipelines.pipeline.{verb}", pipeline.id, told)])


async def _slug(connection: Connection, caller: Caller, new: NewPipeline) -> str:
    if new.slug is not None:
        return new.slug
    wanted = names.slugify(new.name)
    return free_slug(wanted, await storage.taken_slugs(connection, caller.tenant, wanted))


def _made(caller: Caller, new: NewPipeline, placed: list[Placed], slug: str) -> Pipeline:
    now = clock.now()
    return Pipeline(
        id=new_id(), version=1, slug=slug, name=new.name, description=new.description, icon=new.icon, color=new.color,
        title_template=new.title_template, fields=tuple(field for _, field in placed),
        require_if_match=new.require_if_match,
        created_at=now, created_by=caller.id, updated_at=now, updated_by=caller.id,
    )  # fmt: skip


def _copy(caller: Caller, source: Pipeline, name: str | None) -> Pipeline:
    now, copy_id = clock.now(), new_id()
    fields = tuple(
        replace(field, target_pipeline=copy_id)
        if isinstance(field, RelationField) and field.target_pipeline == source.id
        else field
        for field in _copied(source)
    )
    return replace(
        source, id=copy_id, version=1, name=name or f"{source.name[:190]} (copy)", fields=fields, claims={}, pending=(),
        created_at=now, created_by=caller.id, updated_at=now, updated_by=caller.id,
    )  # fmt: skip


def _copied(source: Pipeline) -> tuple[AnyField, ...]:
    """The fields that a copy has: not those that look at who points at the original, nor formulas of these."""
    relations = {field.name for field in source.fields if isinstance(field, RelationField)}
    gone = {f.name for f in source.fields if isinstance(f, AcrossField) and f.relation not in relations}
    left = [field for field in source.fields if field.name not in gone]
    while lost := [f for f in left if isinstance(f, FormulaField) and names_of(f.expression) & gone]:
        gone |= {field.name for field in lost}
        left = [field for field in left if field.name not in gone]
    return tuple(left)


def _given(changes: Changes) -> dict[str, Any]:
    values = msgspec.structs.asdict(changes)
    return {name: value for name, value in values.items() if name != "fields" and value is not UNSET}


def _present(pipeline: Pipeline | None) -> Pipeline:
    if pipeline is None or pipeline.deleted_at is not None:
        raise NotFound
    return pipeline

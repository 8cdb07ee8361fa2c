from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from libs.common import clock
from libs.common.errors import Fault, Invalid, NotFound
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.fields import Cardinality
from services.pipelines.domain.names import type_name_faults
from services.pipelines.domain.pipelines import check_version
from services.pipelines.domain.relationship_types import (
    OnDelete,
    RelationshipType,
    check_change,
    check_unused,
    inverse_of,
)
from services.pipelines.storage import pipelines
from services.pipelines.storage import relationship_types as storage
from services.pipelines.usecases import relations


class NewType(msgspec.Struct, frozen=True, kw_only=True):
    """What a type of relationship is made of."""

    name: str
    inverse_name: str | None
    source_pipeline: UUID | None
    target_pipeline: UUID | None
    cardinality: Cardinality
    on_delete: OnDelete


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What shall change; what is unset stays."""

    name: str | UnsetType = UNSET
    inverse_name: str | UnsetType = UNSET
    source_pipeline: UUID | UnsetType | None = UNSET
    target_pipeline: UUID | UnsetType | None = UNSET
    cardinality: Cardinality | UnsetType = UNSET
    on_delete: OnDelete | UnsetType = UNSET


async def create(database: Database, caller: Caller, new: NewType) -> RelationshipType:
    """Makes a type by hand."""
    async with database.tenant(caller.tenant) as connection:
        return await make(connection, caller, new)


async def make(connection: Connection, caller: Caller, new: NewType) -> RelationshipType:
    """The same within a transaction that does more."""
    caller.require_types("manage")
    now = clock.now()
    kind = RelationshipType(
        id=new_id(), version=1, name=new.name, inverse_name=new.inverse_name or inverse_of(new.name),
        source_pipeline=new.source_pipeline, target_pipeline=new.target_pipeline, cardinality=new.cardinality,
        on_delete=new.on_delete, implicit=False, created_at=now, created_by=caller.id, updated_at=now,
        updated_by=caller.id,
    )  # fmt: skip
    await storage.lock_all(connection, caller.tenant)
    await _check(connection, caller, kind, ("source_pipeline", "target_pipeline"))
    await relations.insert(connection, caller, kind)
    return kind


async def get(database: Database, caller: Caller, type_id: UUID) -> RelationshipType:
    """One type."""
    caller.require_types("read")
    async with database.tenant(caller.tenant) as connection:
        return _present(await storage.get(connection, caller.tenant, type_id))


async def page(
    database: Database, caller: Caller, after: UUID, limit: int, *, count: bool
) -> tuple[list[RelationshipType], int | None]:
    """Types in the order they were made, and how many there are, if asked."""
    caller.require_types("read")
    async with database.tenant(caller.tenant) as connection:
        rows = await storage.page(connection, caller.tenant, after, limit)
        return rows, await storage.count(connection, caller.tenant) if count else None


async def change(
    database: Database, caller: Caller, type_id: UUID, changes: Changes, expected: Collection[int] | None
) -> RelationshipType:
    """Changes a type, as far as the relationships that are there still fit. From then on it is one made by hand."""
    caller.require_types("manage")
    async with database.tenant(caller.tenant) as connection:
        old = await _locked(connection, caller, type_id, expected)
        given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
        new = replace(old, **given, implicit=False)
        await _check(connection, caller, new, (n for n in given if getattr(old, n) != getattr(new, n)))
        check_change(old, new, await pipelines.relation_users(connection, caller.tenant, old.name))
        new = replace(new, version=old.version + 1, updated_at=clock.now(), updated_by=caller.id)
        await storage.update(connection, caller.tenant, new)
        await relations.announce(connection, caller, "updated", new)
    return new


async def delete(database: Database, caller: Caller, type_id: UUID, expected: Collection[int] | None) -> None:
    """Takes a type away that no relation field uses."""
    caller.require_types("manage")
    async with database.tenant(caller.tenant) as connection:
        old = await _locked(connection, caller, type_id, expected)
        check_unused(await pipelines.relation_users(connection, caller.tenant, old.name))
        await storage.delete(connection, caller.tenant, type_id)
        await relations.announce(connection, caller, "deleted", replace(old, version=old.version + 1))


async def on_first_use(
    database: Database, caller: Caller, name: str, source: UUID | None, target: UUID | None
) -> RelationshipType:
    """The type that joins these pipelines, by its name, or the other way by its inverse's; made or grown where that
    is needed and the caller may.
    """
    async with database.tenant(caller.tenant) as connection:
        known = await storage.find_called(connection, caller.tenant, name)
        if known is not None and known.name != name:
            name, source, target = known.name, target, source
        if known is not None and known.joins(source, target):
            return known
        await storage.lock_all(connection, caller.tenant)
        faults = list(type_name_faults(name, "/name"))
        ends = {"source_pipeline": source, "target_pipeline": target}
        _raise([*faults, *await _unknown(connection, caller, ends)])
        return await relations.ensure(connection, caller, name, source, target)


async def _locked(
    connection: Connection, caller: Caller, type_id: UUID, expected: Collection[int] | None
) -> RelationshipType:
    await storage.lock_all(connection, caller.tenant)
    found = _present(await storage.get(connection, caller.tenant, type_id))
    check_version(found.version, expected)
    return found


async def _check(connection: Connection, caller: Caller, kind: RelationshipType, changed: Iterable[str]) -> None:
    faults = [*type_name_faults(kind.name, "/name"), *type_name_faults(kind.inverse_name, "/inverse_name")]
    ends = {name: getattr(kind, name) for name in changed if name in ("source_pipeline", "target_pipeline")}
    _raise([*faults, *await _unknown(connection, caller, ends)])


async def _unknown(connection: Connection, caller: Caller, ends: dict[str, Any]) -> list[Fault]:
    named = {name: pipeline_id for name, pipeline_id in ends.items() if pipeline_id is not None}
    found = await pipelines.find(connection, caller.tenant, named.values()) if named else {}
    return [
        Fault(f"/{name}", "unknown_pipeline", "There is no such pipeline")
        for name, pipeline_id in named.items()
        if pipeline_id not in found or not caller.sees(pipeline_id)
    ]


def _raise(faults: list[Fault]) -> None:
    if faults:
        raise Invalid(errors=faults)


def _present(kind: RelationshipType | None) -> RelationshipType:
    if kind is None:
        raise NotFound
    return kind

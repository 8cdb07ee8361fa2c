from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from libs.common.errors import Conflict, Fault
from services.pipelines.domain.fields import Cardinality

MAX_TYPES = 1000

OnDelete: TypeAlias = Literal["restrict", "cascade", "unlink"]


class RelationshipType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of relationship, from a source to a target; an end without pipeline may be any.

    One that was made on first use is `implicit`: it grows with its use. One that was made by hand holds.
    """

    id: UUID
    version: int
    name: str
    inverse_name: str
    source_pipeline: UUID | None
    target_pipeline: UUID | None
    cardinality: Cardinality
    on_delete: OnDelete
    implicit: bool
    created_at: datetime
    created_by: UUID
    updated_at: datetime
    updated_by: UUID

    def joins(self, source: UUID | None, target: UUID | None) -> bool:
        """Whether records of these pipelines may be related by it."""
        return self.source_pipeline in (None, source) and self.target_pipeline in (None, target)

    def carries(self, cardinality: str) -> bool:
        """Whether a relation field of that cardinality may be kept in it."""
        return self.cardinality in (cardinality, "many_to_many")


class TypeAnnouncement(msgspec.Struct, frozen=True):
    """A type of relationship, as events and other services have it."""

    id: UUID
    name: str
    inverse_name: str
    source_pipeline: UUID | None
    target_pipeline: UUID | None
    cardinality: Cardinality
    on_delete: OnDelete
    version: int
    deleted: bool = False


def announcement(kind: RelationshipType, *, deleted: bool = False) -> TypeAnnouncement:
    """What is told of a type of relationship."""
    return TypeAnnouncement(
        kind.id, kind.name, kind.inverse_name, kind.source_pipeline, kind.target_pipeline, kind.cardinality,
        kind.on_delete, kind.version, deleted,
    )  # fmt: skip


def inverse_of(name: str) -> str:
    """The name of the way back where none was given."""
    return f"inverse_of_{name}"


def widened(kind: RelationshipType, source: UUID | None, target: UUID | None) -> RelationshipType:
    """The type, grown so that it joins these pipelines as well."""
    return msgspec.structs.replace(
        kind,
        source_pipeline=kind.source_pipeline if kind.source_pipeline == source else None,
        target_pipeline=kind.target_pipeline if kind.target_pipeline == target else None,
    )


def check_change(old: RelationshipType, new: RelationshipType, users: list[str]) -> None:
    """`Conflict` where relationships that are there might not fit, or a field would lose its type."""
    faults = [
        Fault(f"/{name}", "narrower", f"'{name}' may be given up but not set: relationships may be there already")
        for name in ("source_pipeline", "target_pipeline")
        if getattr(new, name) not in (None, getattr(old, name))
    ]
    if new.cardinality not in (old.cardinality, "many_to_many"):
        faults.append(Fault("/cardinality", "narrower", "The cardinality may only become many_to_many"))
    if new.name != old.name and users:
        faults.append(Fault("/name", "in_use", f"Relation fields use it: {', '.join(users)}"))
    if faults:
        raise Conflict("The type is in use and cannot change in this way", errors=faults)


def check_unused(users: list[str]) -> None:
    """`Conflict` where relation fields use the type."""
    if users:
        raise Conflict(f"Relation fields use it: {', '.join(users)}", code="in-use")

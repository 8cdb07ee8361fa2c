"""What can be asked to be done to a record."""

from collections.abc import Mapping
from typing import TypeAlias
from uuid import UUID

import msgspec

from libs.common.errors import AppError
from libs.common.ids import new_id
from services.records.domain.definitions import Field, RelationshipType
from services.records.domain.json_patch import Step
from services.records.domain.records import Edge, Record


class Link(msgspec.Struct, frozen=True):
    """A relationship asked for beside a record; `inverse` where the type was called by its inverse's name."""

    type: RelationshipType
    inverse: bool
    target_id: UUID
    target_pipeline: UUID
    attributes: str | None = None

    def edge(self, record: Record) -> Edge:
        """The relationship, pointing the way of its type."""
        here, there = (record.id, record.pipeline_id), (self.target_id, self.target_pipeline)
        source, target = (there, here) if self.inverse else (here, there)
        one_target, one_source = limits(self.type.cardinality)
        return Edge(new_id(), self.type.name, *source, *target, "", one_target, one_source, self.attributes)


class Create(msgspec.Struct, frozen=True):
    """A new record. `id` is chosen where its unique values are claimed before it is planned.

    `unlinked` is why the relationships that were asked for cannot be.
    """

    data: Mapping[str, object]
    links: tuple[Link, ...] = ()
    id: UUID | None = None
    unlinked: AppError | None = None


class Update(msgspec.Struct, frozen=True):
    """A merge patch. `version` is what it was made to: fields nobody changed since are merged unless `exact`.

    With `replace` the fields that are not given are cleared, with `whole` objects replace others instead of
    being merged with them. `steps` are a JSON Patch instead of `patch`.
    `tokens` are of the locks that the writer holds on fields.
    """

    id: UUID
    patch: Mapping[str, object]
    version: int | None = None
    exact: bool = False
    steps: tuple[Step, ...] = ()
    replace: bool = False
    tokens: tuple[int, ...] = ()
    whole: bool = False


class Upsert(msgspec.Struct, frozen=True):
    """A merge patch of the record that has the value in a unique field, or a new record where no version is named."""

    by: str
    data: Mapping[str, object]
    version: int | None = None


class Delete(msgspec.Struct, frozen=True):
    """Into the trash."""

    id: UUID
    version: int | None = None


Operation: TypeAlias = Create | Update | Upsert | Delete


class Outcome(msgspec.Struct):
    """What became of an operation: `status` is created, updated, unchanged, deleted or failed."""

    index: int
    status: str
    record: Record | None = None
    error: AppError | None = None
    relationships: tuple[Edge, ...] = ()


def limits(cardinality: str) -> tuple[bool, bool]:
    """Whether a source has at most one target, and a target at most one source."""
    return cardinality in ("many_to_one", "one_to_one"), cardinality in ("one_to_many", "one_to_one")


def field_edge(record: Record, field: Field, target_id: str) -> Edge:
    """The relationship that a relation field's value stands for."""
    assert field.target_pipeline is not None
    one_target, one_source = limits(field.cardinality)
    target = UUID(target_id), field.target_pipeline
    return Edge(new_id(), field.edge_type, record.id, record.pipeline_id, *target, field.name, one_target, one_source)


def related_ids(value: object) -> list[str]:
    """The ids that a relation field's value holds."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]

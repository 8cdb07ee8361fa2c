"""What a filter may speak of: kinds of values, fields, the schema of a pipeline, the context of a question."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from libs.common.filters.syntax import Node

_SLUG = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PATH = re.compile(rf"{_SLUG.pattern}(\.{_SLUG.pattern})?")


class Kind(StrEnum):
    """The base kinds of values; every field type is one of these to a filter.

    In `data` a TEXT, DATE (`YYYY-MM-DD`), DATETIME (`YYYY-MM-DDTHH:MM:SS.mmmZ`), UUID and RELATION (both
    lower-case text) is a JSON string, a LIST an array of strings. A DURATION is a JSON string in its one form
    (`P1DT2H3M4.5S`) and is compared by its length. A value of another JSON type reads as null.
    """

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    DURATION = "duration"
    LIST = "list"
    RELATION = "relation"
    JSON = "json"
    UUID = "uuid"


@dataclass(frozen=True, eq=False)
class Field:
    """A field of records.

    A name `price.amount` is a part of the object that `data` has under `price`.
    `many`: the value is a list. `column`: a column of the table instead of a key of `data`. `target`: what a
    relation reaches. `indexed`: the field has an index on its `expression`, so equality is written with that
    and not as containment in `data` (which one GIN index on `data` serves for all fields).
    """

    name: str
    kind: Kind
    many: bool = False
    column: str | None = None
    target: "Schema | None" = field(default=None, repr=False)
    indexed: bool = False

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.name):
            raise ValueError(f"not a field name: {self.name!r}")
        if self.column is not None and not _SLUG.fullmatch(self.column):
            raise ValueError(f"not a field name: {self.column!r}")

    @property
    def steps(self) -> list[str]:
        """The keys that lead to the value in `data`."""
        return self.name.split(".")

    @property
    def root(self) -> str:
        """The field of the record that the value belongs to."""
        return self.steps[0]

    @property
    def listed(self) -> bool:
        """Whether the value is a list."""
        return self.many or self.kind is Kind.LIST

    @property
    def stored_kind(self) -> Kind:
        """The kind of the value as a whole: a list of anything is a LIST."""
        return Kind.LIST if self.many else self.kind


@dataclass(frozen=True, eq=False)
class Schema:
    """The fields a filter may name; those a caller may not read are left out, and so do not exist.

    `guard` is what the caller may see of this pipeline; it is added wherever a relation reaches it. It may speak
    of `guard_schema` (fields the caller cannot read), and relations inside a guard are not guarded again.
    Schemas may refer to each other in a circle: fill `fields` after making them.
    """

    fields: Mapping[str, Field] = field(repr=False)
    guard: "Node | None" = None
    pipeline_id: UUID | None = None
    guard_schema: "Schema | None" = None


@dataclass(frozen=True)
class Context:
    """Who asks, when, and where: `$now`, `$user`, and the zone in which days, weeks and months begin."""

    now: datetime
    user: str | None = None
    tz: tzinfo = UTC


COLUMNS: Mapping[str, Field] = {
    name: Field(name, kind, column=name)
    for name, kind in {
        "id": Kind.UUID,
        "version": Kind.NUMBER,
        "title": Kind.TEXT,
        "created_at": Kind.DATETIME,
        "created_by": Kind.UUID,
        "updated_at": Kind.DATETIME,
        "updated_by": Kind.UUID,
    }.items()
}
"""The fields every record has."""

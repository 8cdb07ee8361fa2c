"""What realtime knows of a pipeline: the kinds of its fields, to judge rules and filters by."""

import re
from collections.abc import Iterator
from uuid import UUID

import msgspec

from libs.common.filters import COLUMNS, Field, Kind, Schema

KINDS = {
    "text": Kind.TEXT,
    "textarea": Kind.TEXT,
    "email": Kind.TEXT,
    "url": Kind.TEXT,
    "select": Kind.TEXT,
    "stage": Kind.TEXT,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "date": Kind.DATE,
    "datetime": Kind.DATETIME,
    "multiselect": Kind.LIST,
    "tags": Kind.LIST,
    "relation": Kind.RELATION,
    "phone": Kind.TEXT,
    "auto_number": Kind.TEXT,
    "duration": Kind.DURATION,
    "rating": Kind.NUMBER,
    "user": Kind.UUID,
    "file": Kind.UUID,
}
PARTS = {
    "currency": {"amount": Kind.NUMBER, "currency": Kind.TEXT},
    "address": dict.fromkeys(("line1", "line2", "city", "region", "postal_code", "country"), Kind.TEXT),
}
"""What of structured values filters may speak of: `price.amount`; as in records, which a test compares."""
RESULTS = {it: Kind(it) for it in ("number", "text", "boolean", "date", "datetime")}
"""The kinds of what is computed, by its type; as in records."""
TITLE = "title"
_HIDDEN = "@"
_COMPUTED = ("formula", "lookup", "rollup")
_PLURAL = ("one_to_many", "many_to_many")
_TITLES = ("text", "email", "url", "textarea", "select", "phone", "auto_number")
_PLACEHOLDER = re.compile(r"\{\{?\s*([a-z][a-z0-9_]*)\s*\}?\}")


class FieldDefinition(msgspec.Struct, frozen=True):
    """A field, as far as filters go."""

    name: str
    type: str
    cardinality: str = ""
    multiple: bool = False
    result_type: str | None = None

    @property
    def kind(self) -> Kind:
        """The kind of its values to filters, of what is computed that of the result."""
        if self.type not in _COMPUTED:
            return KINDS.get(self.type, Kind.JSON)
        kind = RESULTS.get(self.result_type or "", Kind.JSON)
        if self.type == "lookup" and self.multiple:
            return Kind.LIST if kind is Kind.TEXT else Kind.JSON
        return kind

    @property
    def plural(self) -> bool:
        """Whether the value is a list of ids."""
        listed = self.type in ("user", "file") and self.multiple
        return listed or (self.type == "relation" and self.cardinality in _PLURAL)


class Move(msgspec.Struct, frozen=True):
    """What values are called from now on; `@` is in the names of those that no field has."""

    old: str
    new: str


class Pending(msgspec.Struct, frozen=True):
    """What a version of a definition asks of records, as far as names go."""

    job_id: UUID
    moves: tuple[Move, ...] = ()

    @property
    def renames(self) -> dict[str, str]:
        """The fields that go by other names."""
        return {move.old: move.new for move in self.moves if _HIDDEN not in move.old + move.new}


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pipeline as its service announces it, and the zone in which its tenant's days begin."""

    id: UUID
    version: int
    fields: tuple[FieldDefinition, ...]
    title_template: str | None = None
    deleted: bool = False
    time_zone: str = "UTC"
    pending: tuple[Pending, ...] = ()

    def renames_since(self, before: "Definition | None") -> list[dict[str, str]]:
        """What became of names since an earlier version, one step after the other."""
        known = {it.job_id for it in before.pending} if before else ()
        return [it.renames for it in self.pending if it.job_id not in known and it.renames]

    @property
    def aliases(self) -> dict[str, str]:
        """What fields were called until just now, and what they are; roles may call them so for a moment longer."""
        found: dict[str, str] = {}
        for it in self.pending:
            found = {old: it.renames.get(new, new) for old, new in found.items()} | it.renames
        there = {field.name for field in self.fields}
        return {old: new for old, new in found.items() if old not in there and new in there}

    def schema(self, readable: frozenset[str] | None = None) -> Schema:
        """The fields that a filter may name, without reaching other records; all, or the readable ones."""
        own = [field for field in self.fields if readable is None or field.name in readable]
        shown = {name: field for one in own for name, field in _named(one)}
        titled = self.title_shown(readable)
        columns = {name: column for name, column in COLUMNS.items() if titled or name != TITLE}
        return Schema({**shown, **columns}, pipeline_id=self.id)

    @property
    def parts(self) -> frozenset[str]:
        """The paths that lead into structured values, and not to other records."""
        return frozenset(f"{field.name}.{part}" for field in self.fields for part in PARTS.get(field.type, ()))

    def title_shown(self, readable: frozenset[str] | None) -> bool:
        """Whether all that a title is made of may be read."""
        return readable is None or self._title_fields() <= readable

    def _title_fields(self) -> frozenset[str]:
        if self.title_template:
            return frozenset(_PLACEHOLDER.findall(self.title_template))
        first = next((field.name for field in self.fields if field.type in _TITLES), None)
        return frozenset([first] if first else ())


def _named(field: FieldDefinition) -> Iterator[tuple[str, Field]]:
    yield field.name, Field(field.name, field.kind, many=field.plural)
    for part, kind in PARTS.get(field.type, {}).items():
        path = f"{field.name}.{part}"
        yield path, Field(path, kind)

"""What realtime knows of a pipeline: the kinds of its fields, to judge rules and filters by."""

import re
from uuid import UUID

import msgspec

from libs.common.filters import COLUMNS, Field, Kind, Schema

_KINDS = {
    "text": Kind.TEXT,
    "textarea": Kind.TEXT,
    "email": Kind.TEXT,
    "phone": Kind.TEXT,
    "url": Kind.TEXT,
    "select": Kind.TEXT,
    "stage": Kind.TEXT,
    "auto_number": Kind.TEXT,
    "number": Kind.NUMBER,
    "rating": Kind.NUMBER,
    "duration": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "date": Kind.DATE,
    "datetime": Kind.DATETIME,
    "multiselect": Kind.LIST,
    "tags": Kind.LIST,
    "user": Kind.UUID,
    "relation": Kind.RELATION,
}
_PLURAL = ("one_to_many", "many_to_many")
_NAMES = re.compile(r"[a-z][a-z0-9_]*")


class FieldDefinition(msgspec.Struct, frozen=True):
    """A field, as far as filters go."""

    name: str
    type: str
    cardinality: str = ""
    many: bool = False

    @property
    def plural(self) -> bool:
        """Whether the value is a list of ids."""
        return self.many or self.cardinality in _PLURAL


class Definition(msgspec.Struct, frozen=True):
    """A pipeline as its service announces it."""

    id: UUID
    version: int
    fields: tuple[FieldDefinition, ...]
    title_template: str | None = None
    deleted: bool = False

    def schema(self, readable: frozenset[str] | None = None) -> Schema:
        """The fields that a filter may name, without reaching other records; all, or the readable ones."""
        shown = {field.name: _field(field) for field in self.fields if readable is None or field.name in readable}
        return Schema({**COLUMNS, **shown}, pipeline_id=self.id)

    def title_shown(self, readable: frozenset[str] | None) -> bool:
        """Whether a title tells nothing of a field that is hidden."""
        if readable is None:
            return True
        names = {field.name for field in self.fields}
        used = set(_NAMES.findall(self.title_template or "")) & names if self.title_template else names
        return used <= readable


def _field(field: FieldDefinition) -> Field:
    return Field(field.name, _KINDS.get(field.type, Kind.JSON), many=field.plural)

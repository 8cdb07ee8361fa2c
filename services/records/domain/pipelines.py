"""A pipeline compiled for work: its fields by name, their checks, what a filter may speak of, its titles."""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from uuid import UUID

from libs.common import filters
from libs.common.filters import COLUMNS, Kind
from services.records.domain.definitions import Definition, Field
from services.records.domain.values import Check, compile_check

MAX_TITLE = 300
MAX_KEY = 200

_PLACEHOLDER = re.compile(r"\{\{?\s*([a-z][a-z0-9_]*)\s*\}?\}")
_TITLES = ("text", "email", "url", "textarea", "select")

KINDS: Mapping[str, Kind] = {
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
}


class Pipeline:
    """A definition with what is made of it once and used for every record."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.id: UUID = definition.id
        self.version = definition.version
        self.fields: dict[str, Field] = {field.name: field for field in definition.fields}
        self.checks: dict[str, Check] = {name: compile_check(field) for name, field in self.fields.items()}
        self.required = [field.name for field in definition.fields if field.required]
        self.unique = [field.name for field in definition.fields if field.unique]
        self.relations = [field for field in definition.fields if field.type == "relation"]
        self.stages = [field for field in definition.fields if field.type == "stage"]
        self.defaults = {f.name: f.default for f in definition.fields if f.default is not None}

    @property
    def targets(self) -> set[UUID]:
        """The pipelines that relation fields lead to."""
        return {field.target_pipeline for field in self.relations if field.target_pipeline is not None}

    @cached_property
    def title_fields(self) -> frozenset[str]:
        """The fields that a title is made of."""
        template = self.definition.title_template
        if template:
            return frozenset(_PLACEHOLDER.findall(template))
        first = (field.name for field in self.definition.fields if field.type in _TITLES)
        return frozenset(name for name in [next(first, None)] if name)

    def title(self, data: Mapping[str, object]) -> str:
        """The title of a record: the template filled in (`{name}`), or the first text."""
        template = self.definition.title_template
        if not template:
            return " ".join(_plain(data.get(name)) for name in self.title_fields)[:MAX_TITLE]
        filled = _PLACEHOLDER.sub(lambda match: _plain(data.get(match[1])), template)
        return " ".join(filled.split())[:MAX_TITLE]


def _plain(value: object) -> str:
    if isinstance(value, bool | dict) or value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return str(value)


def filter_field(field: Field, target: filters.Schema | None) -> filters.Field:
    """A field as filters know it."""
    kind = KINDS.get(field.type, Kind.JSON)
    many = field.type == "relation" and field.many
    return filters.Field(field.name, kind, many=many, target=target)


def schema(pipeline: Pipeline) -> filters.Schema:
    """All that a filter within the pipeline may speak of, without reaching others."""
    own = {name: filter_field(field, None) for name, field in pipeline.fields.items()}
    return filters.Schema({**own, **COLUMNS}, pipeline_id=pipeline.id)


def unique_key(field: Field, value: object) -> str:
    """The text that two values share when they are the same to a unique field; addresses are so whatever their case."""
    text = _canonical(value).lower() if field.type == "email" else _canonical(value)
    return text if len(text) <= MAX_KEY else f"sha256:{sha256(text.encode()).hexdigest()}"


def _canonical(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return format(Decimal(repr(value)).normalize(), "f")
    return str(value)

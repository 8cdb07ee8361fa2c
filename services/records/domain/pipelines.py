"""A pipeline compiled for work: its fields by name, their checks, what a filter may speak of, its titles."""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from uuid import UUID

from libs.common import filters
from libs.common.filters import COLUMNS, Kind
from libs.common.formulas.kinds import COMPUTED
from services.records.domain.checks import compile_check
from services.records.domain.computing import Computing, computing
from services.records.domain.definitions import HIDDEN, Definition, Field
from services.records.domain.structures import ADDRESS
from services.records.domain.values import Check

MAX_TITLE = 300
MAX_KEY = 200

_PLACEHOLDER = re.compile(r"\{\{?\s*([a-z][a-z0-9_]*)\s*\}?\}")
_TITLES = ("text", "email", "url", "textarea", "select", "phone", "auto_number")

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
    "phone": Kind.TEXT,
    "auto_number": Kind.TEXT,
    "duration": Kind.DURATION,
    "rating": Kind.NUMBER,
    "user": Kind.UUID,
    "file": Kind.UUID,
}
"""The kinds of fields to filters; a type that is not here is JSON."""

RESULTS: Mapping[str, Kind] = {it: Kind(it) for it in ("number", "text", "boolean", "date", "datetime")}
"""The kinds of what is computed, by its type."""

PARTS: Mapping[str, Mapping[str, Kind]] = {
    "currency": {"amount": Kind.NUMBER, "currency": Kind.TEXT},
    "address": dict.fromkeys(ADDRESS, Kind.TEXT),
}
"""What of structured values filters and sorts may speak of: `price.amount`. Amounts compare as numbers, so who filters
amounts in several currencies names the currency beside them.
"""


class Pipeline:
    """A definition with what is made of it once and used for every record.

    While jobs bring records along, `renaming` are fields whose values may still go by an old name, `leaving` removed
    ones whose values may still be there, `claiming` those whose values are not all claimed yet. `given` are fields that
    the platform gives values, `computed` those among them that it computes.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.id: UUID = definition.id
        self.version = definition.version
        self.fields: dict[str, Field] = {field.name: field for field in definition.fields}
        self.checks: dict[str, Check] = {name: compile_check(field) for name, field in self.fields.items()}
        self.required = [field.name for field in definition.fields if field.required]
        self.unique = [field.name for field in definition.fields if field.unique]
        self.relations = [field for field in definition.fields if field.type == "relation"]
        self.users = [field for field in definition.fields if field.type == "user"]
        self.auto_numbers = [field for field in definition.fields if field.type == "auto_number"]
        self.stages = [field for field in definition.fields if field.type == "stage"]
        moves = [move for one in definition.pending for move in one.moves if HIDDEN not in move.old]
        self.renaming = {move.old: move.new for move in moves if HIDDEN not in move.new}
        self.leaving = tuple(move.old for move in moves if HIDDEN in move.new)
        self.claiming = frozenset(name for one in definition.pending for name in one.claims)
        self.computing: Computing | None = computing(definition.fields)
        self.computed: frozenset[str] = self.computing.names if self.computing else frozenset()
        self.given = self.computed | {field.name for field in self.auto_numbers}
        self.defaults = {f.name: f.default for f in definition.fields if f.default is not None}

    def data(self, alias: str) -> str:
        """SQL for a record's data by the names that fields have now, whether or not its values have moved already."""
        found = f"{alias}.data"
        if gone := [*self.renaming, *self.leaving]:
            found = f"({found} - '{{{','.join(gone)}}}'::text[])"
        for old, new in self.renaming.items():
            there = f"jsonb_build_object('{new}', {alias}.data->'{old}')"
            found = f"({found} || case when {alias}.data ? '{old}' then {there} else '{{}}' end)"
        return found

    @property
    def moving(self) -> bool:
        """Whether values are moving."""
        return bool(self.renaming or self.leaving)

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
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    if isinstance(value, bool | dict) or value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return str(value)


def numbered(field: Field, number: int) -> str:
    """An automatic number as it is shown: `INV-0042`."""
    return f"{field.prefix}{number:0{field.padding}}"


def filter_field(field: Field, target: filters.Schema | None) -> filters.Field:
    """A field as filters know it."""
    kind = kind_of(field)
    many = field.type in ("relation", "user", "file") and field.many
    return filters.Field(field.name, kind, many=many, target=target)


def kind_of(field: Field) -> Kind:
    """The kind of a field's values to filters: that of what is computed, a list of texts where it is of several."""
    if field.type not in COMPUTED:
        return KINDS.get(field.type, Kind.JSON)
    kind = RESULTS.get(field.result_type or "", Kind.JSON)
    if field.type == "lookup" and field.multiple:
        return Kind.LIST if kind is Kind.TEXT else Kind.JSON
    return kind


def parts_of(field: Field) -> dict[str, filters.Field]:
    """The parts of a structured value as filters know them, by path."""
    parts = PARTS.get(field.type, {})
    return {path: filters.Field(path, kind) for part, kind in parts.items() if (path := f"{field.name}.{part}")}


def without_target(pipeline: "Pipeline") -> dict[str, filters.Field]:
    """All fields that have values, and their parts, as filters know them without reaching others."""
    fields = [field for field in pipeline.fields.values() if field.type != "button"]
    own = {field.name: filter_field(field, None) for field in fields}
    return own | {path: part for field in fields for path, part in parts_of(field).items()}


def schema(pipeline: Pipeline) -> filters.Schema:
    """All that a filter within the pipeline may speak of, without reaching others."""
    return filters.Schema({**without_target(pipeline), **COLUMNS}, pipeline_id=pipeline.id)


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

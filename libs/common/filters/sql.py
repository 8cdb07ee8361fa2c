"""A filter as SQL over `records`.

Values are always bound parameters. Names come from fields, which take slugs only, so they stand in the text as
literals and expression indexes on `expression(field)` are found. A null in the SQL counts as false: negation is
`is not true`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from libs.common.filters import durations
from libs.common.filters.lowering import (
    All,
    Either,
    Equal,
    Filled,
    Has,
    Opposite,
    Present,
    Range,
    Reach,
    Search,
    Test,
    lower,
)
from libs.common.filters.schema import Context, Field, Kind, Schema
from libs.common.filters.syntax import Literal, Node

LEAKPROOF = (
    "jsonb_object_field(jsonb, text)",
    "jsonb_object_field_text(jsonb, text)",
    "jsonb_typeof(jsonb)",
    "jsonb_contains(jsonb, jsonb)",
    "jsonb_exists_any(jsonb, text[])",
    'pg_catalog."numeric"(jsonb)',
    "numeric_eq(numeric, numeric)",
    "numeric_lt(numeric, numeric)",
    "numeric_le(numeric, numeric)",
    "numeric_gt(numeric, numeric)",
    "numeric_ge(numeric, numeric)",
    "bool(jsonb)",
    "textregexeq(text, text)",
    "textlike(text, text)",
    "casefold(text)",
    "uuid_in(cstring)",
    "textout(text)",
)
"""What a superuser has to mark (`alter function … leakproof`) for field indexes to work under row level security.

PostgreSQL uses a condition that is not leakproof only on rows the policy has passed, hence never in an index. These
functions tell nothing of a row but by their result, or (casts) only fail on what `expression` has ruled out.
Unmarked, as on a managed server, filters are as right, but read every record of the pipeline.
"""

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_CONTAINMENTS = 16
_REST_OF_MILLISECOND = timedelta(microseconds=999)


def to_sql(node: Node, schema: Schema, params: list[object], context: Context, alias: str = "r") -> str:
    """The condition on the row `alias`; its values are appended to `params` and stand as `$n`."""
    return _Writer(params).condition(lower(node, schema, context), alias)


def expression(field: Field, alias: str = "r") -> str:
    """The value of a field as SQL, null if it is not of the field's kind: what to index and what to order by.

    Immutable, of type text (collation "C"), numeric, boolean or uuid; jsonb for lists and JSON; columns are as
    they are.
    """
    if field.column:
        column = f"{alias}.{field.column}"
        return f'{column} collate "C"' if field.kind is Kind.TEXT else column
    *way, last = field.steps
    source = "".join([f"{alias}.data", *(f"->'{step}'" for step in way)])
    return _EXPRESSIONS[field.stored_kind](f"{source}->'{last}'", f"{source}->>'{last}'")


def _text(json: str, text: str) -> str:
    return f"""(case when jsonb_typeof({json}) = 'string' then {text} end) collate "C\""""


def _uuid(json: str, text: str) -> str:
    return f"(case when {text} ~ '{_UUID}' then ({text})::uuid end)"


def _duration(json: str, text: str) -> str:
    parts = [
        f"coalesce(substring({text} from '([0-9.]+){unit}')::numeric, 0) * {seconds}"
        for unit, seconds in durations.UNITS.items()
    ]
    known = f"jsonb_typeof({json}) = 'string' and {text} ~ '^{durations.CANONICAL}$'"
    return f"(case when {known} then {' + '.join(parts)} end)"


def _typed(name: str, cast: str = "") -> Callable[[str, str], str]:
    return lambda json, text: f"(case when jsonb_typeof({json}) = '{name}' then ({json}){cast} end)"


_EXPRESSIONS: dict[Kind, Callable[[str, str], str]] = {
    Kind.TEXT: _text,
    Kind.DATE: _text,
    Kind.DATETIME: _text,
    Kind.NUMBER: _typed("number", "::numeric"),
    Kind.BOOLEAN: _typed("boolean", "::boolean"),
    Kind.DURATION: _duration,
    Kind.UUID: _uuid,
    Kind.RELATION: _uuid,
    Kind.LIST: _typed("array"),
    Kind.JSON: lambda json, text: f"(nullif({json}, 'null'::jsonb))",
}
_TYPES = {
    Kind.NUMBER: "numeric",
    Kind.DURATION: "numeric",
    Kind.BOOLEAN: "boolean",
    Kind.UUID: "uuid",
    Kind.RELATION: "uuid",
}


@dataclass
class _Writer:
    """Writes conditions, collecting parameters and counting the aliases of reached records."""

    params: list[object]
    aliases: int = field(default=0)

    def bind(self, value: object, cast: str) -> str:
        self.params.append(value)
        return f"${len(self.params)}::{cast}"

    def condition(self, test: Test, alias: str) -> str:
        match test:
            case All(parts):
                return self._joined(parts, alias, " and ", "true")
            case Either(parts):
                return self._joined(parts, alias, " or ", "false")
            case Opposite(part):
                return f"({self.condition(part, alias)}) is not true"
            case Reach():
                return self._reach(test, alias)
            case Equal():
                return self._equal(test, alias)
            case Range():
                return self._range(test, alias)
            case Search():
                return self._search(test, alias)
            case Present(field):
                return f"{expression(field, alias)} is not null"
            case Filled(field):
                return _filled(field, alias)
            case Has():
                return self._has(test, alias)

    def _joined(self, parts: tuple[Test, ...], alias: str, by: str, empty: str) -> str:
        if len(parts) == 1:
            return self.condition(parts[0], alias)
        return f"({by.join(self.condition(part, alias) for part in parts)})" if parts else empty

    def _reach(self, test: Reach, alias: str) -> str:
        self.aliases += 1
        to = f"{alias}_{self.aliases}"
        conditions = [f"{to}.tenant_id = {alias}.tenant_id", _joins(test.field, alias, to), f"{to}.deleted_at is null"]
        if test.pipeline_id:
            conditions.append(f"{to}.pipeline_id = {self.bind(test.pipeline_id, 'uuid')}")
        conditions.append(self.condition(test.part, to))
        return f"exists (select 1 from records {to} where {' and '.join(conditions)})"  # noqa: S608 - names are slugs, values are bound

    def _equal(self, test: Equal, alias: str) -> str:
        by_expression = (
            test.field.column
            or test.field.indexed
            or test.field.kind is Kind.DURATION
            or len(test.values) > _CONTAINMENTS
        )
        if not test.values:
            return "false"
        if not by_expression:
            return self._containing(test.field, test.values, alias)
        left, values = expression(test.field, alias), [_bound(value, test.field) for value in test.values]
        kind = _TYPES.get(test.field.kind, "text")
        if len(values) == 1:
            return f"{left} = {self.bind(values[0], kind)}"
        return f"{left} = any({self.bind(values, f'{kind}[]')})"

    def _containing(self, field: Field, values: tuple[Literal | list[str], ...], alias: str) -> str:
        documents = (self.bind(_document(field.name, value), "text::jsonb") for value in values)
        return f"({' or '.join(f'{alias}.data @> {document}' for document in documents)})"

    def _range(self, test: Range, alias: str) -> str:
        left, kind = expression(test.field, alias), _TYPES.get(test.field.kind, "text")
        if test.field.column and test.field.kind is Kind.DATETIME:
            return self._moments(test, left)
        bounds = [
            (">" if test.low_open else ">=", test.low),
            ("<" if test.high_open else "<=", test.high),
        ]
        return " and ".join(f"{left} {op} {self.bind(value, kind)}" for op, value in bounds if value is not None)

    def _moments(self, test: Range, left: str) -> str:
        """A column knows microseconds where filters know milliseconds: the bounds are widened to whole ones."""
        conditions = []
        if test.low is not None:
            low = _moment(test.low, to_end=test.low_open)
            conditions.append(f"{left} {'>' if test.low_open else '>='} {self.bind(low, 'timestamptz')}")
        if test.high is not None:
            high = _moment(test.high, to_end=not test.high_open)
            conditions.append(f"{left} {'<' if test.high_open else '<='} {self.bind(high, 'timestamptz')}")
        return " and ".join(conditions)

    def _search(self, test: Search, alias: str) -> str:
        left = expression(test.field, alias)
        if test.folded:
            left = f'casefold(({left}) collate "pg_unicode_fast") collate "C"'
        pattern = f"%{_escape_like(test.text)}{'' if test.at_end else '%'}"
        return f"{left} like {self.bind(pattern, 'text')}"

    def _has(self, test: Has, alias: str) -> str:
        if test.every:
            return self._containing(test.field, (list(test.values),), alias)
        if not test.values:
            return "false"
        if len(test.values) > _CONTAINMENTS:
            return f"{expression(test.field, alias)} ?| {self.bind(list(test.values), 'text[]')}"
        return self._containing(test.field, tuple([value] for value in test.values), alias)


def _joins(field: Field, alias: str, to: str) -> str:
    if not field.listed:
        return f"{to}.id = {expression(field, alias)}"
    items = f"jsonb_array_elements_text({expression(field, alias)}) item"
    return f"{to}.id in (select case when item ~ '{_UUID}' then item::uuid end from {items})"  # noqa: S608 - names are slugs, values are bound


def _filled(field: Field, alias: str) -> str:
    left = expression(field, alias)
    match field.stored_kind:
        case Kind.TEXT:
            return f"{left} <> ''"
        case Kind.LIST:
            return f"{left} <> '[]'::jsonb"
        case Kind.JSON:
            return f"""{left} not in ('[]'::jsonb, '{{}}'::jsonb, '""'::jsonb)"""
        case _:
            return f"{left} is not null"


def _bound(value: Literal, field: Field) -> object:
    return UUID(str(value)) if field.kind in (Kind.UUID, Kind.RELATION) else value


def _document(name: str, value: Literal | list[str]) -> str:
    """A JSON document with the value under the name; numbers are written exactly."""
    exact = msgspec.Raw(format(value, "f").encode()) if isinstance(value, Decimal) else value
    document: object = exact
    for step in reversed(name.split(".")):
        document = {step: document}
    return msgspec.json.encode(document).decode()


def _moment(text: Literal, to_end: bool) -> datetime:
    moment = datetime.fromisoformat(str(text))
    return moment + _REST_OF_MILLISECOND if to_end else moment


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

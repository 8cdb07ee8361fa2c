"""From the syntax tree to the few tests both back ends know.

Here, and only here, operators get their meaning, relative values are resolved, and guards are added, so SQL and
Python cannot differ in it. The logic is two-valued: a test of a null is false, and `ne`, `nin`, `none` and
`is_null` are exact negations (null `ne` 5 is true). A path through relations holds if some visible related record
passes. Text is compared by code point, and with case except in `icontains`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from libs.common.filters import dates
from libs.common.filters.folding import fold
from libs.common.filters.literals import USER
from libs.common.filters.schema import Context, Field, Kind, Schema
from libs.common.filters.syntax import And, Compare, Literal, Node, NoneOf, Not, Op, Or, Some


@dataclass(frozen=True, slots=True)
class Equal:
    """The value is one of these."""

    field: Field
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The value is between two bounds; None is no bound, open leaves the bound itself out."""

    field: Field
    low: Literal | None = None
    high: Literal | None = None
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """The text contains another, or ends with it; `folded` texts are compared without case."""

    field: Field
    text: str
    folded: bool = False
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """The value is not null."""

    field: Field


@dataclass(frozen=True, slots=True)
class Filled:
    """The value is neither null nor an empty text, list or object."""

    field: Field


@dataclass(frozen=True, slots=True)
class Has:
    """The list has all of these texts, or any of them."""

    field: Field
    values: tuple[str, ...]
    every: bool


@dataclass(frozen=True, slots=True)
class All:
    """All parts hold."""

    parts: "tuple[Test, ...]"


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds."""

    parts: "tuple[Test, ...]"


@dataclass(frozen=True, slots=True)
class Opposite:
    """The part does not hold."""

    part: "Test"


@dataclass(frozen=True, slots=True)
class Reach:
    """A related record, in the given pipeline, passes."""

    field: Field
    pipeline_id: UUID | None
    part: "Test"


Test = Equal | Range | Search | Present | Filled | Has | All | Either | Opposite | Reach

NOTHING = Either(())
_LAST_CODE_POINT = 0x10FFFF


def lower(node: Node, schema: Schema, context: Context, guarded: bool = True) -> Test:
    """The tests of a parsed filter; guards of reached pipelines are added if `guarded`."""
    match node:
        case And(nodes):
            return All(tuple(lower(inner, schema, context, guarded) for inner in nodes))
        case Or(nodes):
            return Either(tuple(lower(inner, schema, context, guarded) for inner in nodes))
        case Not(inner):
            return Opposite(lower(inner, schema, context, guarded))
        case Some(path, inner):
            return _some(path, inner, schema, context, guarded)
        case NoneOf(path, inner):
            return Opposite(_some(path, inner, schema, context, guarded))
        case Compare(path, op, value):
            return _compare(path, op, value, schema, context, guarded)


def is_relative(node: Node, schema: Schema) -> bool:
    """Whether the filter speaks of now, so that what it means moves with time."""
    match node:
        case And(nodes) | Or(nodes):
            return any(is_relative(inner, schema) for inner in nodes)
        case Not(inner):
            return is_relative(inner, schema)
        case Some(path, inner) | NoneOf(path, inner):
            return is_relative(inner, _target(_fields(path, schema)[-1]))
        case Compare(path, _, value):
            field = _fields(path, schema)[-1]
            values = value if isinstance(value, tuple) else (value,)
            return _is_time(field) and any(isinstance(item, str) and dates.is_relative(item) for item in values)


def _some(path: tuple[str, ...], inner: Node, schema: Schema, context: Context, guarded: bool) -> Test:
    fields = _fields(path, schema)
    part = lower(inner, _target(fields[-1]), context, guarded)
    return _reach(fields, part, context, guarded)


def _compare(path: tuple[str, ...], op: Op, value: object, schema: Schema, context: Context, guarded: bool) -> Test:
    *way, field = _fields(path, schema)
    negated, positive = _positive(op, value)
    part = _reach(way, _test(field, positive, value, context), context, guarded)
    return Opposite(part) if negated else part


def _positive(op: Op, value: object) -> tuple[bool, Op]:
    """Whether the operator negates, and what."""
    match op:
        case Op.NE:
            return True, Op.EQ
        case Op.NIN:
            return True, Op.IN
        case Op.IS_NULL | Op.IS_EMPTY:
            return value is True, op
        case _:
            return False, op


def _reach(way: list[Field], part: Test, context: Context, guarded: bool) -> Test:
    for field in reversed(way):
        target = _target(field)
        if guarded and target.guard is not None:
            rule = lower(target.guard, target.guard_schema or target, context, guarded=False)
            part = All((rule, part))
        part = Reach(field, target.pipeline_id, part)
    return part


def _fields(path: tuple[str, ...], schema: Schema) -> list[Field]:
    fields: list[Field] = []
    for index, name in enumerate(path):
        schema = _target(fields[-1]) if index else schema
        fields.append(schema.fields[name])
    return fields


def _target(field: Field) -> Schema:
    if field.target is None:
        raise LookupError(f"{field.name} does not lead to other records")
    return field.target


def _is_time(field: Field) -> bool:
    return field.kind in (Kind.DATE, Kind.DATETIME) and not field.listed


def _test(field: Field, op: Op, value: object, context: Context) -> Test:
    if op in _PLAIN:
        return _PLAIN[op](field, value)
    if op in (Op.HAS_ANY, Op.HAS_ALL):
        return _has(field, _tuple(value), op is Op.HAS_ALL, context)
    return (_time if _is_time(field) else _scalar)(field, op, value, context)


def _text_starts(field: Field, value: object) -> Test:
    """All texts that begin alike lie between the beginning and the next text of its length."""
    text = str(value)
    return Range(field, text, _next(text), high_open=True)


def _next(text: str) -> str | None:
    kept = text.rstrip(chr(_LAST_CODE_POINT))
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)


_PLAIN: dict[Op, Callable[[Field, object], Test]] = {
    Op.IS_NULL: lambda field, value: Present(field),
    Op.IS_EMPTY: lambda field, value: Filled(field),
    Op.CONTAINS: lambda field, value: Search(field, str(value)),
    Op.ICONTAINS: lambda field, value: Search(field, fold(str(value)), folded=True),
    Op.STARTS_WITH: _text_starts,
    Op.ENDS_WITH: lambda field, value: Search(field, str(value), at_end=True),
}


def _tuple(value: object) -> tuple[Literal, ...]:
    return value if isinstance(value, tuple) else (_single(value),)


def _single(value: object) -> Literal:
    if isinstance(value, str | Decimal | bool):
        return value
    raise TypeError(f"not a literal: {value!r}")


def _has(field: Field, values: tuple[Literal, ...], every: bool, context: Context) -> Test:
    found = _users(values, context)
    lost = len(found) < len(values)
    return NOTHING if lost and every else Has(field, tuple(str(value) for value in found), every)


def _users(values: tuple[Literal, ...], context: Context) -> tuple[Literal, ...]:
    """The values with `$user` resolved; without a user it is null, which equals nothing."""
    found = (context.user if value == USER else value for value in values)
    return tuple(value for value in found if value is not None)


def _scalar(field: Field, op: Op, value: object, context: Context) -> Test:
    if op in (Op.EQ, Op.IN):
        known = field.kind in (Kind.NUMBER, Kind.BOOLEAN, Kind.DURATION)
        values = _tuple(value)
        return Equal(field, values if known else _users(values, context))
    low, high = _tuple(value) if op is Op.BETWEEN else (_single(value), _single(value))
    return _range(field, op, low, low, high, high)


def _time(field: Field, op: Op, value: object, context: Context) -> Test:
    if op is Op.IN:
        return Either(tuple(_time(field, Op.EQ, item, context) for item in _tuple(value)))
    if op is Op.BETWEEN:
        begin, end = (dates.span(str(item), field.kind, context) for item in _tuple(value))
        return _range(field, op, *begin, *end)
    resolve = dates.window if op is Op.WITHIN else dates.span
    first, last = resolve(str(value), field.kind, context)
    if op in (Op.EQ, Op.WITHIN):
        return Equal(field, (first,)) if first == last and not field.column else Range(field, first, last)
    return _range(field, op, first, last, first, last)


def _range(field: Field, op: Op, first: Literal, last: Literal, begin: Literal, end: Literal) -> Test:
    match op:
        case Op.LT | Op.BEFORE:
            return Range(field, high=first, high_open=True)
        case Op.LTE:
            return Range(field, high=last)
        case Op.GT | Op.AFTER:
            return Range(field, low=last, low_open=True)
        case Op.GTE:
            return Range(field, low=first)
        case _:
            return Range(field, first, end)

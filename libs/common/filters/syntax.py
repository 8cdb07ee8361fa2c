"""The syntax tree of a filter, and its JSON form.

A node in JSON is one of::

    {"field": "score", "op": "gte", "value": 50}          a comparison; without `op` it is `eq`
    {"field": "company.industry", "value": "steel"}       through relations, up to four
    {"and": [...]}  {"or": [...]}  {"not": {...}}         groups; `{}` is true, `{"or": []}` false
    {"some": {"field": "contacts", "filter": {...}}}      a related record passes the inner filter
    {"none": {"field": "contacts", "filter": {...}}}      no related record does

The last two may be written as comparisons too: `{"field": "contacts", "op": "some", "value": {...}}`.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

Literal = str | Decimal | bool
Value = Literal | tuple[Literal, ...]


class Op(StrEnum):
    """The operators; which kinds take which is in `operators`."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    BETWEEN = "between"
    IN = "in"
    NIN = "nin"
    CONTAINS = "contains"
    ICONTAINS = "icontains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    IS_NULL = "is_null"
    IS_EMPTY = "is_empty"
    HAS_ANY = "has_any"
    HAS_ALL = "has_all"
    BEFORE = "before"
    AFTER = "after"
    WITHIN = "within"


@dataclass(frozen=True, slots=True)
class And:
    """All hold."""

    nodes: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """At least one holds."""

    nodes: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    node: "Node"


@dataclass(frozen=True, slots=True)
class Compare:
    """The value at the end of a path, against a checked value."""

    path: tuple[str, ...]
    op: Op
    value: Value


@dataclass(frozen=True, slots=True)
class Some:
    """At least one visible related record passes."""

    path: tuple[str, ...]
    node: "Node"


@dataclass(frozen=True, slots=True)
class NoneOf:
    """No visible related record passes."""

    path: tuple[str, ...]
    node: "Node"


Node = And | Or | Not | Compare | Some | NoneOf


def dump(node: Node) -> dict[str, object]:
    """The JSON tree of a node; parsing it gives the same node again."""
    match node:
        case And(nodes):
            return {"and": [dump(inner) for inner in nodes]}
        case Or(nodes):
            return {"or": [dump(inner) for inner in nodes]}
        case Not(inner):
            return {"not": dump(inner)}
        case Some(path, inner):
            return {"some": {"field": ".".join(path), "filter": dump(inner)}}
        case NoneOf(path, inner):
            return {"none": {"field": ".".join(path), "filter": dump(inner)}}
        case Compare(path, op, value):
            return {"field": ".".join(path), "op": op.value, "value": _dump_value(value)}


def _dump_value(value: Value) -> object:
    if isinstance(value, tuple):
        return [_dump_value(item) for item in value]
    return _dump_number(value) if isinstance(value, Decimal) else value


def _dump_number(number: Decimal) -> object:
    """A JSON number where every reader takes it exactly, else decimal text, which a number field takes as well."""
    if abs(number) < 2**53 and number == int(number):
        return int(number)
    return float(number) if Decimal(repr(float(number))) == number else format(number, "f")

"""Which operator goes with which kind, and what shape of value it takes."""

from collections.abc import Sequence
from enum import Enum

from libs.common.filters.schema import Field, Kind
from libs.common.filters.syntax import Op


class Shape(Enum):
    """How many values an operator takes."""

    ONE = "one"
    TWO = "two"
    MANY = "many"
    TEXT = "text"
    FLAG = "flag"


_EQUALITY = {Op.EQ, Op.NE, Op.IN, Op.NIN}
_ORDER = {Op.LT, Op.LTE, Op.GT, Op.GTE, Op.BETWEEN}
_SEARCH = {Op.CONTAINS, Op.ICONTAINS, Op.STARTS_WITH, Op.ENDS_WITH}
_TIME = _EQUALITY | _ORDER | {Op.BEFORE, Op.AFTER, Op.WITHIN}
_PRESENCE = {Op.IS_NULL, Op.IS_EMPTY}

_ALLOWED: dict[Kind, set[Op]] = {
    Kind.TEXT: _EQUALITY | _ORDER | _SEARCH | _PRESENCE,
    Kind.NUMBER: _EQUALITY | _ORDER | _PRESENCE,
    Kind.BOOLEAN: _EQUALITY | _PRESENCE,
    Kind.DATE: _TIME | _PRESENCE,
    Kind.DATETIME: _TIME | _PRESENCE,
    Kind.DURATION: _EQUALITY | _ORDER | _PRESENCE,
    Kind.LIST: {Op.HAS_ANY, Op.HAS_ALL} | _PRESENCE,
    Kind.RELATION: _EQUALITY | _PRESENCE,
    Kind.UUID: _EQUALITY | _PRESENCE,
    Kind.JSON: _PRESENCE,
}
_SHAPES = (
    dict.fromkeys(_PRESENCE, Shape.FLAG)
    | dict.fromkeys(_SEARCH, Shape.TEXT)
    | dict.fromkeys((Op.IN, Op.NIN, Op.HAS_ANY, Op.HAS_ALL), Shape.MANY)
    | {Op.BETWEEN: Shape.TWO}
)


_LISTED = {kind: tuple(op for op in Op if op in ops) for kind, ops in _ALLOWED.items()}


def allowed(field: Field) -> Sequence[Op]:
    """The operators of a field, in the order of their declaration."""
    return _LISTED[field.stored_kind]


def shape(op: Op) -> Shape:
    """The shape of an operator's value."""
    return _SHAPES.get(op, Shape.ONE)

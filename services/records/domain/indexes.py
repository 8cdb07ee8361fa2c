"""Indexes on the values of fields, on the records of one pipeline alone.

A field that is marked so has one, whatever its pipeline holds. One that is unique, or by which views filter, sort or
group, has a `derived` one, which is worth its price only where there are many records.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from uuid import UUID

import msgspec

from libs.common import filters
from libs.common.filters import Kind
from services.records.domain.definitions import Definition, Field
from services.records.domain.pipelines import filter_field, kind_of, parts_of
from services.records.domain.views import View

MAX_INDEXED = 16
MANY = 2_000
"""Records of a pipeline from which on derived indexes are built."""
MAX_VIEWS = 500

_BOUNDING = frozenset(
    ("eq", "lt", "lte", "gt", "gte", "between", "in", "starts_with", "before", "after", "within")
)  # fmt: skip
_UNORDERED = (Kind.LIST, Kind.JSON)


class FieldIndex(msgspec.Struct, frozen=True):
    """An index by its name, which follows from what it is on."""

    name: str
    expression: str
    derived: bool = False


class Room:
    """Room for indexes, of which each tenant may take half of what the others leave: so there is some for the next."""

    def __init__(self, most: int, taken: Mapping[UUID, int]) -> None:
        self._most = most
        self._taken = Counter(taken)

    def left(self, tenant_id: UUID) -> int:
        """How many more a tenant may have."""
        own = self._taken[tenant_id]
        return (self._most - self._taken.total() + own) // 2 - own

    def take(self, tenant_id: UUID) -> None:
        """One more is the tenant's."""
        self._taken[tenant_id] += 1


def wanted(definition: Definition, views: Iterable[View] = ()) -> list[FieldIndex]:
    """The indexes of a pipeline, those that were asked for first; none where it is deleted."""
    if definition.deleted:
        return []
    marked = _ordered(field for field in definition.fields if field.indexed)
    unique = _ordered(field for field in definition.fields if field.unique)
    found = {field.name: _index(definition.id, field, derived=False) for field in marked[:MAX_INDEXED]}
    for derived in (*unique, *_viewed(definition, views)):
        if len(found) < MAX_INDEXED:
            found.setdefault(derived.name, _index(definition.id, derived, derived=True))
    return list(found.values())


def statistics_name(expression: str) -> str:
    """The name of the statistics on an expression, which all pipelines with such a field share."""
    return f"values_{sha256(expression.encode()).hexdigest()[:32]}"


def _ordered(fields: Iterable[Field]) -> list[filters.Field]:
    known = (filter_field(field, None) for field in fields if kind_of(field) is not Kind.JSON)
    return [field for field in known if field.stored_kind not in _UNORDERED]


def _viewed(definition: Definition, views: Iterable[View]) -> list[filters.Field]:
    """What views bound or order their lists by, what most of them do first."""
    known = {field.name: field for field in _ordered(definition.fields)}
    known |= {path: part for field in definition.fields for path, part in parts_of(field).items()}
    used: Counter[str] = Counter()
    for view in views:
        if view.pipeline_id == definition.id and not view.deleted:
            used.update(name for name in _used(view) if name in known)
    ranked = sorted(used, key=lambda name: (-used[name], name))
    return [known[name] for name in ranked if known[name].stored_kind is not Kind.BOOLEAN]


def _used(view: View) -> set[str]:
    first = (view.order or "").partition(",")[0].removeprefix("-")
    return {*_bounded(view.filter), *([first] if first else ())}


def _bounded(tree: object) -> Iterator[str]:
    """The fields that a filter tree looks for values of, by their paths; what it excludes bounds nothing."""
    if isinstance(tree, list):
        for item in tree:
            yield from _bounded(item)
    elif isinstance(tree, Mapping):
        yield from _bounded(tree.get("and"))
        yield from _bounded(tree.get("or"))
        if isinstance(field := tree.get("field"), str) and tree.get("op", "eq") in _BOUNDING:
            yield field


def _index(pipeline_id: UUID, field: filters.Field, *, derived: bool) -> FieldIndex:
    expression = filters.expression(field, "records")
    digest = sha256(f"{pipeline_id} {expression}".encode()).hexdigest()
    return FieldIndex(f"field_{digest[:32]}", expression, derived)

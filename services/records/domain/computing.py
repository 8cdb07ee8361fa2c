"""Computed fields: what they follow from, formulas in the order in which they follow from each other.

What is computed of related records (`Across`) is read by storage; formulas follow from the data of the record alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from libs.common.formulas import FormulaError, Program, Type, compile_formula, kinds, names_of
from services.records.domain.definitions import Field


class Across(msgspec.Struct, frozen=True):
    """A lookup or rollup. `own` where the relation is a field of the record itself; `names` are the fields it looks at
    in records of the target.
    """

    name: str
    relation: str
    own: bool
    type: str
    inverse: bool
    target: UUID
    function: str
    field: str | None
    kind: str | None
    filter: dict[str, Any] | None
    names: frozenset[str]

    @property
    def of_none(self) -> object:
        """The value where there is no related record."""
        return OF_NONE.get(self.function)


OF_NONE: Mapping[str, object] = {"count": 0, "count_distinct": 0, "sum": 0, "any": False, "all": True}


class Computing:
    """The computed fields of a pipeline."""

    def __init__(
        self, across: Sequence[Across], formulas: Sequence[tuple[str, Program]], names: frozenset[str]
    ) -> None:
        self.across = tuple(across)
        self.own = tuple(it for it in across if it.own)
        self.relations = frozenset(it.relation for it in self.own)
        self.names = names
        self._formulas = tuple(formulas)

    def fill(self, data: dict[str, Any]) -> None:
        """Computes the formulas of a record's data, in it."""
        for name, program in self._formulas:
            value = program(data)
            if value is not None:
                data[name] = value
            else:
                data.pop(name, None)


def computing(fields: Sequence[Field]) -> Computing | None:
    """What is computed in a pipeline; none where nothing is."""
    computed = {field.name: field for field in fields if field.type in kinds.COMPUTED}
    if not computed:
        return None
    own = {field.name for field in fields if field.type == "relation"}
    across = [it for field in computed.values() if (it := _across(field, own)) is not None]
    environment: dict[str, Type | None] = {}
    for field in fields:
        environment |= kinds.names_in(field.name, field.type, _type(field))
    formulas = [(f.name, made) for f in _ordered(computed) if (made := _program(f, environment)) is not None]
    return Computing(across, formulas, frozenset(computed))


def _across(field: Field, own: set[str]) -> Across | None:
    if field.type == "formula" or field.target_pipeline is None or field.relation is None:
        return None
    names = {field.field} if field.field else set[str]()
    names |= set(_filtered(field.filter or {}))
    looked_up = "list" if field.multiple else "first"
    function = looked_up if field.type == "lookup" else field.function or "count"
    return Across(
        field.name, field.relation, field.relation in own, field.edge_type, field.inverse, field.target_pipeline,
        function, field.field, field.result_type, field.filter, frozenset(names),
    )  # fmt: skip


def _filtered(tree: object) -> Iterator[str]:
    if isinstance(tree, list):
        for item in tree:
            yield from _filtered(item)
    elif isinstance(tree, dict):
        if isinstance(name := tree.get("field"), str):
            yield name.partition(".")[0]
        for value in tree.values():
            yield from _filtered(value)


def _type(field: Field) -> Type | None:
    if field.type in kinds.COMPUTED:
        known: Type | None = field.result_type  # type: ignore[assignment]
        return "list" if field.type == "lookup" and field.multiple else known
    return kinds.type_of(field.type, many=field.type in ("relation", "user", "file") and field.many)


def _program(field: Field, environment: Mapping[str, Type | None]) -> Program | None:
    if field.type != "formula" or field.expression is None:
        return None
    try:
        return compile_formula(field.expression, environment)
    except FormulaError:
        return None


def _ordered(computed: Mapping[str, Field]) -> list[Field]:
    """Each after those that it follows from."""
    found: dict[str, Field] = {}

    def take(name: str) -> None:
        field = computed.get(name)
        if field is None or name in found or name in ahead:
            return
        ahead.add(name)
        for other in sorted(names_of(field.expression or "")):
            take(other)
        found[name] = field

    ahead: set[str] = set()
    for name in computed:
        take(name)
    return list(found.values())

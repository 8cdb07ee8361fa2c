"""Computed fields among all fields of a tenant: what they look at, the types of what they give, cycles between them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import cast
from uuid import UUID

import msgspec
from msgspec.structs import replace

from libs.common import filters
from libs.common.errors import Fault
from libs.common.filters.renaming import renamed_condition
from libs.common.formulas import FormulaError, Type, compile_formula, kinds, names_of, renamed
from services.pipelines.domain.definitions import Fields
from services.pipelines.domain.fields import (
    AcrossField,
    AnyField,
    ComputedField,
    FileField,
    FormulaField,
    LookupField,
    RelationField,
    ResultType,
    RollupField,
    UserField,
)
from services.pipelines.domain.questions import parsed, schema
from services.pipelines.domain.relationship_types import RelationshipType

MAX_CHAIN = 10
MANY = ("one_to_many", "many_to_many")
Node = tuple[UUID, str]

_TAKES: Mapping[str, tuple[Type, ...]] = {
    "sum": ("number",),
    "avg": ("number",),
    "min": ("number", "text", "date", "datetime"),
    "max": ("number", "text", "date", "datetime"),
    "any": ("boolean",),
    "all": ("boolean",),
}
_GIVES: Mapping[str, Type] = {
    **dict.fromkeys(("count", "count_distinct", "sum", "avg"), "number"),
    **dict.fromkeys(("any", "all"), "boolean"),
    "concat": "text",
}  # fmt: skip


class Around(msgspec.Struct, frozen=True):
    """What computed fields of a pipeline may look at: the fields of other pipelines, and types of relationships."""

    fields: Mapping[UUID, Fields]
    types: Collection[RelationshipType]
    slugs: Mapping[UUID, str]


def type_of(field: AnyField, *, looked_up: bool = False) -> Type | None:
    """The type of a field's values in formulas, none where they do not know it. Looked up, a duration is its text."""
    if isinstance(field, ComputedField):
        return "list" if isinstance(field, LookupField) and field.multiple else field.result_type
    many = isinstance(field, UserField | FileField) and field.multiple
    many = many or (isinstance(field, RelationField) and field.cardinality in MANY)
    return kinds.type_of(field.type_name(), many=many, looked_up=looked_up)


def environment(fields: Iterable[AnyField]) -> dict[str, Type | None]:
    """The names that a formula may use, with their types."""
    found: dict[str, Type | None] = {}
    for field in fields:
        found |= kinds.names_in(field.name, field.type_name(), type_of(field))
    return found


class Resolution:
    """Fills in what follows for the computed fields of a pipeline, and collects what is wrong with them."""

    def __init__(self, pipeline_id: UUID, fields: Fields, around: Around) -> None:
        self._id = pipeline_id
        self._around = around
        self._own: dict[str, AnyField] = {field.name: field for field in fields}
        self._places = {field.name: f"/fields/{index}" for index, field in enumerate(fields)}
        self._done: set[str] = set()
        self._ahead: list[str] = []
        self.faults: list[Fault] = []

    def run(self, places: Mapping[str, str]) -> Fields:
        """The fields with types; `places` are pointers to those that came with the body."""
        self._places |= places
        for name in list(self._own):
            self._settle(name)
        return tuple(self._own.values())

    def _settle(self, name: str) -> None:
        field = self._own.get(name)
        if not isinstance(field, ComputedField) or name in self._done:
            return
        if name in self._ahead:
            cycle = [*self._ahead[self._ahead.index(name) :], name]
            self._fault(self._ahead[0], "", "cycle", f"Fields follow from each other in a circle: {' → '.join(cycle)}")
            return
        self._ahead.append(name)
        self._own[name] = self._formula(field) if isinstance(field, FormulaField) else self._across(field)
        self._ahead.pop()
        self._done.add(name)

    def _fault(self, name: str, path: str, code: str, detail: str) -> None:
        self.faults.append(Fault(f"{self._places[name]}{path}", code, detail))

    def _formula(self, field: FormulaField) -> AnyField:
        for name in sorted(names_of(field.expression)):
            self._settle(name)
        others = (it for it in self._own.values() if it.name != field.name)
        try:
            program = compile_formula(field.expression, environment(others))
        except FormulaError as error:
            if not self.faults or self.faults[-1].code != "cycle":
                self._fault(field.name, "/expression", error.code, error.detail)
            return field
        return self._typed(field, program.kind)

    def _typed(self, field: ComputedField, kind: Type) -> AnyField:
        if field.result_type not in (None, kind):
            self._fault(field.name, "/result_type", "mismatch", f"The values are of type {kind}")
        return cast(AnyField, replace(field, result_type=cast(ResultType, kind)))

    def _across(self, field: ComputedField) -> AnyField:
        assert isinstance(field, LookupField | RollupField)
        joined = self._joined(field)
        if joined is None:
            self._fault(field.name, "/relation", "unknown_relation", f"No relation '{field.relation}' begins here")
            return field
        kind, inverse, target, many = joined
        if target is None or (target != self._id and target not in self._around.fields):
            self._fault(field.name, "/relation", "unknown_relation", f"'{field.relation}' leads to no one pipeline")
            return field
        found = replace(field, relationship_type=kind, inverse=inverse, target_pipeline=target)
        if target == self._id:
            for name in sorted(looked_at(found)):
                self._settle(name)
        others = self._own if target == self._id else {it.name: it for it in self._around.fields[target]}
        if isinstance(found, LookupField):
            return self._lookup(found, others, many)
        return self._rollup(found, others)

    def _joined(self, field: AcrossField) -> tuple[str, bool, UUID | None, bool] | None:
        """The type of the relation, whether it is walked against its arrow, where it leads, and whether to many."""
        own = self._own.get(field.relation)
        if isinstance(own, RelationField):
            return own.relationship_type, False, own.target_pipeline, own.cardinality in MANY
        for kind in self._around.types:
            backwards = kind.inverse_name == field.relation
            if kind.name != field.relation and not backwards:
                continue
            if kind.name == field.relation:
                backwards = kind.source_pipeline != self._id and kind.target_pipeline == self._id
            here, there = kind.source_pipeline, kind.target_pipeline
            if backwards:
                here, there = there, here
            if here not in (None, self._id):
                return None
            known = field.target_pipeline if field.relationship_type == kind.name else None
            one = ("many_to_one", "one_to_one") if not backwards else ("one_to_many", "one_to_one")
            return kind.name, backwards, there or known, kind.cardinality not in one
        return None

    def _lookup(self, field: LookupField, others: Mapping[str, AnyField], many: bool) -> AnyField:
        found = self._looked_up(field, field.field, others)
        if found is None:
            return field
        return self._typed(replace(field, multiple=many), found)

    def _looked_up(self, field: ComputedField, name: str, others: Mapping[str, AnyField]) -> Type | None:
        other = others.get(name)
        if other is None:
            self._fault(field.name, "/field", "unknown_name", f"There is no field '{name}' there")
            return None
        kind = type_of(other, looked_up=True)
        if kind is None or kind == "list":
            self._fault(field.name, "/field", "wrong_type", f"'{name}' has no single value that could be computed with")
            return None
        return kind

    def _rollup(self, field: RollupField, others: Mapping[str, AnyField]) -> AnyField:
        kind: Type | None = None
        if field.field is not None and field.function == "count":
            if field.field not in others:
                self._fault(field.name, "/field", "unknown_name", f"There is no field '{field.field}' there")
        elif field.field is not None:
            kind = self._looked_up(field, field.field, others)
            if kind is None:
                return field
        if kind is not None and kind not in _TAKES.get(field.function, (kind,)):
            self._fault(field.name, "/function", "wrong_type", f"'{field.function}' is not for values of type {kind}")
            return field
        if field.filter is not None:
            self._filter(field, others)
        gives = _GIVES.get(field.function, kind)
        assert gives is not None
        return self._typed(field, gives)

    def _filter(self, field: RollupField, others: Mapping[str, AnyField]) -> None:
        at = f"{self._places[field.name]}/filter"
        known = schema(tuple(others.values()), columns=False)
        node, faults = parsed(field.filter, known, at)
        self.faults += faults
        if node is not None and (filters.is_relative(node, known) or "$user" in str(filters.dump(node))):
            detail = "Values are kept, so the filter cannot follow the time, nor who asks"
            self.faults.append(Fault(at, "not_applicable", detail))


def looked_at(field: AcrossField) -> frozenset[str]:
    """The fields of related records that a lookup or rollup looks at."""
    names: set[str] = set()
    if isinstance(field, LookupField | RollupField) and field.field is not None:
        names.add(field.field)
    if isinstance(field, RollupField) and field.filter is not None:
        names |= set(_filtered(field.filter))
    return frozenset(names)


def _filtered(tree: object) -> Iterator[str]:
    if isinstance(tree, list):
        for item in tree:
            yield from _filtered(item)
    elif isinstance(tree, dict):
        if isinstance(tree.get("field"), str):
            yield tree["field"].partition(".")[0]
        for value in tree.values():
            yield from _filtered(value)


def cycle_fault(own: UUID, around: Around) -> str | None:
    """What goes round in a circle over pipelines, or is too long a chain; `around` has the pipeline itself as well."""
    nodes = {
        (pipeline_id, field.name): field
        for pipeline_id, fields in around.fields.items()
        for field in fields
        if isinstance(field, ComputedField)
    }
    length: dict[Node, int] = {}
    for node in nodes:
        if circle := _walk(node, nodes, length, []):
            shown = (f"{around.slugs.get(pipeline_id, pipeline_id)}.{name}" for pipeline_id, name in circle)
            return f"Fields follow from each other in a circle: {' → '.join(shown)}"
    longest = max(length.values(), default=0)
    if longest > MAX_CHAIN:
        return f"A field follows from others over {longest} steps, and {MAX_CHAIN} are the most"
    return None


def _walk(
    node: Node, nodes: Mapping[Node, ComputedField], length: dict[Node, int], ahead: list[Node]
) -> list[Node] | None:
    if node in length or node not in nodes:
        return None
    if node in ahead:
        return [*ahead[ahead.index(node) :], node]
    field = nodes[node]
    sources = list(_sources(node[0], field))
    for source in sources:
        if circle := _walk(source, nodes, length, [*ahead, node]):
            return circle
    length[node] = 1 + max((length.get(source, 0) for source in sources), default=0)
    return None


def _sources(pipeline_id: UUID, field: ComputedField) -> Iterator[Node]:
    if isinstance(field, FormulaField):
        yield from ((pipeline_id, name) for name in names_of(field.expression))
    elif isinstance(field, AcrossField) and field.target_pipeline is not None:
        yield from ((field.target_pipeline, name) for name in looked_at(field))


def users_of(pipeline_id: UUID, names: Collection[str], around: Around) -> list[str]:
    """The computed fields of other pipelines that look at fields of this one, as `pipeline.field`."""
    return sorted(
        f"{around.slugs.get(other, other)}.{field.name}"
        for other, fields in around.fields.items()
        for field in fields
        if other != pipeline_id
        and isinstance(field, AcrossField)
        and field.target_pipeline == pipeline_id
        and looked_at(field) & set(names)
    )


def renamed_field(field: AnyField, renames: Mapping[str, str], own: UUID | None = None) -> AnyField:
    """A computed field with the fields that it speaks of by their new names."""
    if isinstance(field, FormulaField):
        return replace(field, expression=renamed(field.expression, renames))
    if not isinstance(field, LookupField | RollupField):
        return field
    field = replace(field, relation=renames.get(field.relation, field.relation))
    return field if own is None else renamed_look(field, renames, own)


def renamed_look(field: AnyField, renames: Mapping[str, str], target: UUID) -> AnyField:
    """A lookup or rollup that looks at fields of the target by their new names."""
    if not isinstance(field, LookupField | RollupField) or field.target_pipeline != target:
        return field
    if field.field is not None:
        field = replace(field, field=renames.get(field.field, field.field))
    if isinstance(field, RollupField) and field.filter is not None:
        return replace(field, filter=renamed_condition(field.filter, renames))
    return field

"""From a JSON tree to a checked syntax tree. All faults are reported together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from libs.common.errors import Fault, Invalid, clipped
from libs.common.filters import literals
from libs.common.filters.operators import Shape, allowed, shape
from libs.common.filters.schema import Field, Kind, Schema
from libs.common.filters.syntax import And, Compare, Literal, Node, NoneOf, Not, Op, Or, Some, Value

MAX_DEPTH = 10
MAX_NODES = 200
MAX_VALUES = 1000
MAX_HOPS = 4
MAX_FAULTS = 1000

T = TypeVar("T")

_ANYTHING: Node = And(())
RELATED = ("some", "none")
_OPERATORS = {op.value: op for op in Op}


def parse_tree(value: object, schema: Schema, pointer: str = "/filter") -> Node:
    """The syntax tree of a decoded JSON tree; raises Invalid with every fault."""
    parser = Parser()
    node = parser.node(value, schema, pointer)
    parser.check()
    return node


@dataclass
class Parser:
    """One reading: the faults and nodes so far. Whatever is at fault stands as a node that is always true."""

    faults: list[Fault] = field(default_factory=list)
    nodes: int = 0

    def check(self) -> None:
        """Raises Invalid if there were faults."""
        if self.faults:
            raise Invalid("The filter is not valid.", errors=self.faults)

    def fault(self, pointer: str, code: str, detail: str) -> None:
        """Notes a fault; past a thousand nobody reads on."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(pointer, code, detail))

    def node(self, value: object, schema: Schema, pointer: str, depth: int = 1, hops: int = 0) -> Node:
        """A node of any form."""
        if not self.count(pointer, depth):
            return _ANYTHING
        if not isinstance(value, Mapping):
            self.fault(pointer, "invalid_filter", "An object is expected.")
            return _ANYTHING
        keys = [key for key in ("and", "or", "not", "some", "none") if key in value]
        if not keys and value.get("op") in RELATED:
            return self._of_operator(value, schema, pointer, depth, hops)
        if not keys:
            return self._leaf(value, schema, pointer, hops)
        self._refuse_others(value, {keys[0]}, pointer)
        return self._group(keys[0], value[keys[0]], schema, f"{pointer}/{keys[0]}", depth, hops)

    def comparison(self, path: str, op: object, value: object, schema: Schema, at: "Places", hops: int = 0) -> Node:
        """A comparison from its parts."""
        found = self._field(path, schema, at.field, hops)
        operator = self._operator(op, found, at.op)
        if found is None or operator is None:
            return _ANYTHING
        names = steps(path, schema)
        if value is None and operator in (Op.EQ, Op.NE):
            return Compare(names, Op.IS_NULL, operator is Op.EQ)
        checked = self._value(value, operator, found, at.value)
        return _ANYTHING if checked is None else Compare(names, operator, checked)

    def count(self, pointer: str, depth: int = 1) -> bool:
        """Counts one more node; False, and a fault, if it is one too many or too deep."""
        self.nodes += 1
        if depth > MAX_DEPTH:
            self.fault(pointer, "too_deep", f"At most {MAX_DEPTH} levels are taken.")
        elif self.nodes == MAX_NODES + 1:
            self.fault(pointer, "too_many_nodes", f"At most {MAX_NODES} conditions and groups are taken.")
        return depth <= MAX_DEPTH and self.nodes <= MAX_NODES

    def _refuse_others(self, value: Mapping[str, object], known: set[str], pointer: str) -> None:
        for key in value:
            if key not in known:
                self.fault(f"{pointer}/{escape(key)}", "unknown_key", f"{key!r} has no meaning here.")

    def _group(self, key: str, value: object, schema: Schema, pointer: str, depth: int, hops: int) -> Node:
        if key == "not":
            return Not(self.node(value, schema, pointer, depth + 1, hops))
        if key in ("some", "none"):
            return self._related(key, value, schema, pointer, depth, hops)
        if not isinstance(value, Sequence) or isinstance(value, str):
            self.fault(pointer, "invalid_filter", "A list is expected.")
            return _ANYTHING
        rest = value[: MAX_NODES - self.nodes + 1]
        nodes = (self.node(item, schema, f"{pointer}/{index}", depth + 1, hops) for index, item in enumerate(rest))
        return And(tuple(nodes)) if key == "and" else Or(tuple(nodes))

    def _of_operator(self, value: Mapping[str, object], schema: Schema, pointer: str, depth: int, hops: int) -> Node:
        if "value" not in value:
            self.fault(f"{pointer}/value", "required", "A filter of the related records is expected.")
            return _ANYTHING
        self._refuse_others(value, {"field", "op", "value"}, pointer)
        related = {"field": value.get("field"), "value": value["value"]}
        return self._related(str(value["op"]), related, schema, pointer, depth, hops, inner="value")

    def _related(
        self, key: str, value: object, schema: Schema, pointer: str, depth: int, hops: int, inner: str = "filter"
    ) -> Node:
        if not isinstance(value, Mapping):
            self.fault(pointer, "invalid_filter", "An object with field and filter is expected.")
            return _ANYTHING
        self._refuse_others(value, {"field", inner}, pointer)
        path = self._path(value.get("field"), f"{pointer}/field")
        found = self._field(path, schema, f"{pointer}/field", hops) if path else None
        if path is None or found is None:
            return _ANYTHING
        if found.target is None:
            self.fault(f"{pointer}/field", "not_a_relation", f"{path!r} does not lead to other records.")
            return _ANYTHING
        names = steps(path, schema)
        hops += len(names)
        if hops > MAX_HOPS:
            self._too_far(f"{pointer}/field")
            return _ANYTHING
        node = self.node(value.get(inner, {}), found.target, f"{pointer}/{inner}", depth + 1, hops)
        return Some(names, node) if key == "some" else NoneOf(names, node)

    def _leaf(self, value: Mapping[str, object], schema: Schema, pointer: str, hops: int) -> Node:
        if not value:
            return _ANYTHING
        self._refuse_others(value, {"field", "op", "value"}, pointer)
        path = self._path(value.get("field"), f"{pointer}/field")
        if path is None:
            return _ANYTHING
        places = Places(f"{pointer}/field", f"{pointer}/op", f"{pointer}/value")
        op = value.get("op", "eq")
        if "value" not in value and op not in (Op.IS_NULL, Op.IS_EMPTY):
            self.fault(places.value, "required", "A value is expected.")
            return _ANYTHING
        return self.comparison(path, op, value.get("value", True), schema, places, hops)

    def _path(self, value: object, pointer: str) -> str | None:
        if isinstance(value, str) and value and len(value) <= 64 * (MAX_HOPS + 1):
            return value
        self.fault(pointer, "invalid_field", "The name of a field is expected.")
        return None

    def _field(self, path: str, schema: Schema, pointer: str, hops: int) -> Field | None:
        names = steps(path, schema)
        if hops + len(names) - 1 > MAX_HOPS:
            self._too_far(pointer)
            return None
        found = self._named(names[0], schema, pointer)
        for name in names[1:]:
            if found is None:
                return None
            if found.target is None:
                self.fault(pointer, "not_a_relation", f"{found.name!r} does not lead to other records.")
                return None
            found = self._named(name, found.target, pointer)
        return found

    def _named(self, name: str, schema: Schema, pointer: str) -> Field | None:
        found = schema.fields.get(name)
        if found is None:
            self.fault(pointer, "unknown_field", f"There is no field {name!r}.")
        return found

    def _too_far(self, pointer: str) -> None:
        self.fault(pointer, "too_far", f"At most {MAX_HOPS} relations may be followed.")

    def _operator(self, value: object, field: Field | None, pointer: str) -> Op | None:
        op = _OPERATORS.get(value) if isinstance(value, str) else None
        if op is None:
            takes = ", ".join(Op if field is None else allowed(field))
            self.fault(pointer, "unknown_operator", f"There is no operator {_brief(value)!r}; there are {takes}.")
        elif field is not None and op not in (ops := allowed(field)):
            takes = ", ".join(ops)
            self.fault(pointer, "invalid_operator", f"{field.name!r} ({field.stored_kind}) takes {takes}.")
            return None
        return op

    def _value(self, value: object, op: Op, field: Field, pointer: str) -> Value | None:
        match shape(op):
            case Shape.FLAG:
                return self._checked(literals.boolean, value, pointer)
            case Shape.TEXT:
                return self._checked(literals.text, value, pointer)
            case Shape.ONE:
                return self._checked(_literal_of(field), value, pointer)
            case Shape.TWO:
                return self._values(value, field, pointer, 2)
            case Shape.MANY:
                return self._values(value, field, pointer)

    def _values(self, value: object, field: Field, pointer: str, size: int | None = None) -> Value | None:
        if not isinstance(value, Sequence) or isinstance(value, str) or (size and len(value) != size):
            expected = "A list of two values" if size else "A list"
            self.fault(pointer, "invalid_value", f"{expected} is expected.")
            return None
        if len(value) > MAX_VALUES:
            self.fault(pointer, "too_many_values", f"At most {MAX_VALUES} values are taken.")
            return None
        check = _literal_of(field)
        found = [self._checked(check, item, f"{pointer}/{index}") for index, item in enumerate(value)]
        return tuple(item for item in found if item is not None)

    def _checked(self, check: Callable[[object], T], value: object, pointer: str) -> T | None:
        try:
            return check(value)
        except literals.Refused as refused:
            detail = str(refused)
            self.fault(pointer, "invalid_value", f"{detail[0].upper()}{detail[1:]}.")
            return None


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a comparison stand in the input."""

    field: str
    op: str
    value: str


def steps(path: str, schema: Schema) -> tuple[str, ...]:
    """The names of a path, from relation to relation; `price.amount` is one where `price` has such a part."""
    names = path.split(".")
    found: list[str] = []
    at: Schema | None = schema
    while names:
        part = ".".join(names[:2])
        name = part if at is not None and part in at.fields else names[0]
        field = at.fields.get(name) if at is not None else None
        at = field.target if field is not None else None
        found.append(name)
        names = names[name.count(".") + 1 :]
    return tuple(found)


def _brief(value: object) -> str:
    return clipped(str(value), 40)


def escape(key: str) -> str:
    """A key as a step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _literal_of(field: Field) -> Callable[[object], Literal]:
    kind = Kind.TEXT if field.kind is Kind.LIST else field.kind
    return lambda value: literals.literal(value, kind)

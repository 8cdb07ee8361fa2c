"""From an expression to a program: types are settled once, so that computing needs no looking up.

Nulls: arithmetic, order (`< <= > >=`) and functions with a null are null; `=` and `!=` take null for a value of its
own; `and`, `or`, `not` and `if` take it for false; `&` and `concat` for an empty text. What cannot be computed is null:
division by zero, a number too large, a date out of the calendar, a text longer than 10,000 characters. A formula raises
nothing.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import Any, TypeAlias

from lark import Token, Tree

from libs.common.formulas.functions import FUNCTIONS, MOVING, Function
from libs.common.formulas.syntax import FormulaError, parse, position
from libs.common.formulas.values import MATHS, Type, Value, finite, from_json, short, shown, to_json

Data: TypeAlias = Mapping[str, object]
Step: TypeAlias = Callable[[Data], Value]
Node: TypeAlias = "Tree[Token]"

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MATHS: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": MATHS.add,
    "-": MATHS.subtract,
    "*": MATHS.multiply,
    "/": MATHS.divide,
    "^": MATHS.power,
}
_FAULTS = (ArithmeticError, DecimalException, ValueError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Typed:
    """A part of a program and its type; none is that of `null`."""

    kind: Type | None
    run: Step


@dataclass(frozen=True, slots=True)
class Program:
    """A formula ready to be computed: the fields it speaks of, and the type of what it gives."""

    names: frozenset[str]
    kind: Type
    run: Step

    def __call__(self, data: Data) -> Any:
        """The value for a record's data, as it is stored."""
        return to_json(self.run(data))


def compile_formula(text: str, fields: Mapping[str, Type | None]) -> Program:
    """The program of an expression, given the types of fields and parts of them (`price.amount`); none is a type that
    formulas do not know. Raises FormulaError, which says where.
    """
    compiler = _Compiler(fields)
    made = compiler.typed(parse(text))
    if made.kind is None or made.kind == "list":
        raise FormulaError("wrong_type", f"The result is {made.kind or 'always null'}, which no field can hold")
    return Program(frozenset(compiler.names), made.kind, made.run)


class _Compiler:
    def __init__(self, fields: Mapping[str, Type | None]) -> None:
        self._fields = fields
        self.names: set[str] = set()

    def typed(self, node: Node) -> Typed:
        """A part with all below it."""
        made: Typed = getattr(self, f"_{node.data}")(node)
        return made

    def _parts(self, node: Node) -> list[Node]:
        return [child for child in node.children if isinstance(child, Tree)]

    def _of(self, node: Node, *kinds: Type) -> Step:
        made = self.typed(node)
        if made.kind is not None and made.kind not in kinds:
            raise FormulaError("wrong_type", f"{' or '.join(kinds)} is expected, not {made.kind}", position(node))
        return made.run

    def _number(self, node: Node) -> Typed:
        value = Decimal(str(node.children[0]))
        return Typed("number", lambda _: value)

    def _string(self, node: Node) -> Typed:
        raw = str(node.children[0])[1:-1]
        value = "".join(_unescaped(raw))
        return Typed("text", lambda _: value)

    def _true(self, _: Node) -> Typed:
        return Typed("boolean", lambda _: True)

    def _false(self, _: Node) -> Typed:
        return Typed("boolean", lambda _: False)

    def _null(self, _: Node) -> Typed:
        return Typed(None, lambda _: None)

    def _field(self, node: Node) -> Typed:
        steps = [str(child) for child in node.children]
        path, name = ".".join(steps), steps[0]
        if path not in self._fields:
            raise FormulaError("unknown_name", f"There is no field '{path}'", position(node))
        kind = self._fields[path]
        if kind is None:
            raise FormulaError("wrong_type", f"Formulas cannot use '{path}'", position(node))
        self.names.add(name)
        if len(steps) == 1 and f"{name}.amount" not in self._fields:
            return Typed(kind, lambda data: from_json(data.get(name), kind))
        part = steps[1] if len(steps) > 1 else "amount"

        def inner(data: Data) -> Value:
            whole = data.get(name)
            return from_json(whole.get(part), kind) if isinstance(whole, Mapping) else None

        return Typed(kind, inner)

    def _or_(self, node: Node) -> Typed:
        one, other = (self._of(part, "boolean") for part in self._parts(node))
        return Typed("boolean", lambda data: one(data) is True or other(data) is True)

    def _and_(self, node: Node) -> Typed:
        one, other = (self._of(part, "boolean") for part in self._parts(node))
        return Typed("boolean", lambda data: one(data) is True and other(data) is True)

    def _not_(self, node: Node) -> Typed:
        inner = self._of(self._parts(node)[0], "boolean")
        return Typed("boolean", lambda data: inner(data) is not True)

    def _compare(self, node: Node) -> Typed:
        sign = str(node.children[1])
        left, right = (self.typed(part) for part in self._parts(node))
        if None not in (left.kind, right.kind) and left.kind != right.kind:
            raise FormulaError("wrong_type", f"{left.kind} and {right.kind} cannot be compared", position(node))
        one, other = left.run, right.run
        if sign in ("=", "=="):
            return Typed("boolean", lambda data: one(data) == other(data))
        if sign in ("!=", "<>"):
            return Typed("boolean", lambda data: one(data) != other(data))
        if "list" in (left.kind, right.kind) or "boolean" in (left.kind, right.kind):
            raise FormulaError("wrong_type", f"'{sign}' is for numbers, texts, dates and moments", position(node))
        return Typed("boolean", _strict(_ORDER[sign], one, other))

    def _join(self, node: Node) -> Typed:
        one, other = (self.typed(part).run for part in self._parts(node))
        return Typed("text", lambda data: short(shown(one(data)) + shown(other(data))))

    def _sign(self, node: Node) -> Typed:
        inner = self._of(self._parts(node)[0], "number")
        if str(node.children[0]) == "+":
            return Typed("number", inner)
        return Typed("number", lambda data: None if (value := inner(data)) is None else MATHS.minus(value))

    def _arithmetic(self, node: Node) -> Typed:
        sign = str(node.children[1])
        left, right = (self.typed(part) for part in self._parts(node))
        if sign in "+-" and left.kind in ("date", "datetime"):
            return self._moved(node, sign, left, right)
        for made, part in zip((left, right), self._parts(node), strict=True):
            if made.kind not in (None, "number"):
                hint = "; '&' joins texts" if made.kind == "text" and sign == "+" else ""
                raise FormulaError("wrong_type", f"'{sign}' is for numbers, not {made.kind}{hint}", position(part))
        run = _remainder if sign == "%" else _MATHS[sign]
        return Typed("number", _strict(lambda a, b: finite(run(a, b)), left.run, right.run))

    def _moved(self, node: Node, sign: str, left: Typed, right: Typed) -> Typed:
        """A date and a number of days, or the days from one date to another."""
        if sign == "-" and right.kind == left.kind:
            between = FUNCTIONS["days_between"].run
            return Typed("number", _strict(lambda a, b: between(b, a), left.run, right.run))
        if right.kind not in (None, "number"):
            raise FormulaError("wrong_type", f"{left.kind} and {right.kind} cannot be reckoned so", position(node))
        add = FUNCTIONS["add_days"].run
        return Typed(left.kind, _strict(lambda a, b: add(a, b if sign == "+" else MATHS.minus(b)), left.run, right.run))

    def _call(self, node: Node) -> Typed:
        name, given = str(node.children[0]), self._parts(node)
        if name == "if":
            return self._if(node, given)
        function = FUNCTIONS.get(name)
        if function is None:
            why = "; values are kept, so they cannot follow the time" if name in MOVING else ""
            raise FormulaError("unknown_function", f"There is no function '{name}'{why}", position(node))
        least = len(function.takes) if function.least is None else function.least
        if len(given) < least or (len(given) > len(function.takes) and not function.repeats):
            raise FormulaError("wrong_arguments", f"'{name}' takes {_takes(function, least)}", position(node))
        return self._called(function, given)

    def _called(self, function: Function, given: list[Node]) -> Typed:
        takes = [function.takes[min(i, len(function.takes) - 1)] for i in range(len(given))]
        parts = [self.typed(node) for node in given]
        same = _common(parts, given) if "same" in takes else parts[0].kind
        for node, part, expected in zip(given, parts, takes, strict=True):
            kinds = function.takes[0] if expected == "same" else expected
            if kinds != "any" and part.kind is not None and part.kind not in kinds.split("|"):
                detail = f"'{function.name}' takes {kinds.replace('|', ' or ')} here, not {part.kind}"
                raise FormulaError("wrong_type", detail, position(node))
        kind: Any = same if function.gives == "same" else function.gives
        return Typed(kind, _guarded(function, [part.run for part in parts]))

    def _if(self, node: Node, given: list[Node]) -> Typed:
        if len(given) not in (2, 3):
            raise FormulaError("wrong_arguments", "'if' takes a condition and one or two values", position(node))
        condition = self._of(given[0], "boolean")
        branches = [self.typed(part) for part in given[1:]]
        kind = _common(branches, given[1:])
        then = branches[0].run
        other: Step = branches[1].run if len(branches) == 2 else lambda _: None
        return Typed(kind, lambda data: then(data) if condition(data) is True else other(data))


def _common(parts: list[Typed], given: list[Node]) -> Type | None:
    found: Type | None = None
    for part, node in zip(parts, given, strict=True):
        if found is not None and part.kind not in (None, found):
            raise FormulaError("wrong_type", f"{found} is expected, as before, not {part.kind}", position(node))
        found = found or part.kind
    return found


def _strict(run: Callable[[Any, Any], Any], one: Step, other: Step) -> Step:
    def step(data: Data) -> Value:
        left, right = one(data), other(data)
        if left is None or right is None:
            return None
        try:
            return run(left, right)
        except _FAULTS:
            return None

    return step


def _guarded(function: Function, steps: list[Step]) -> Step:
    run, lenient = function.run, function.lenient

    def step(data: Data) -> Value:
        values = [one(data) for one in steps]
        if not lenient and None in values:
            return None
        try:
            found = run(*values)
        except _FAULTS:
            return None
        return short(found) if isinstance(found, str) else found

    return step


def _remainder(one: Decimal, other: Decimal) -> Decimal:
    """With the sign of the divisor, as clocks and spreadsheets do it."""
    rest = MATHS.remainder(one, other)
    return MATHS.add(rest, other) if rest and (rest < 0) != (other < 0) else rest


def _unescaped(raw: str) -> list[str]:
    found: list[str] = []
    escaped = False
    for sign in raw:
        if sign == "\\" and not escaped:
            escaped = True
            continue
        found.append({"n": "\n", "t": "\t"}.get(sign, sign) if escaped else sign)
        escaped = False
    return found


def _takes(function: Function, least: int) -> str:
    if function.repeats:
        return f"at least {least}"
    most = len(function.takes)
    return f"{most}" if least == most else f"{least} to {most}"

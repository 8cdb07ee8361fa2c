"""Formulas agree with a simple model of what they mean, and never raise."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.formulas import FUNCTIONS, FormulaError, Program, Type, compile_formula, renamed

FIELDS: dict[str, Type | None] = {"a": "number", "b": "number", "n": "text", "s": "boolean", "d": "date", "t": "list"}
Model = Callable[[dict[str, Any]], Any]
Pair = tuple[str, Model]


def _exact(value: Any) -> Fraction | None:
    return None if value is None else Fraction(str(value))


LEAVES: list[Pair] = [
    ("a", lambda data: _exact(data.get("a"))),
    ("b", lambda data: _exact(data.get("b"))),
    ("0", lambda _: Fraction(0)),
    ("2.5", lambda _: Fraction(5, 2)),
    ("length(n)", lambda data: None if data.get("n") is None else Fraction(len(data["n"]))),
]


def _both(one: Pair, other: Pair, sign: str, run: Callable[[Any, Any], Any]) -> Pair:
    def model(data: dict[str, Any]) -> Any:
        left, right = one[1](data), other[1](data)
        return None if left is None or right is None else run(left, right)

    return f"({one[0]} {sign} {other[0]})", model


def _arithmetic(children: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    signs = {
        "+": lambda x, y: x + y,
        "-": lambda x, y: x - y,
        "*": lambda x, y: x * y,
        "/": lambda x, y: None if y == 0 else x / y,
    }
    made = st.tuples(children, children, st.sampled_from(sorted(signs))).map(
        lambda it: _both(it[0], it[1], it[2], signs[it[2]])
    )
    negated = children.map(lambda it: (f"-{it[0]}", lambda data: None if (v := it[1](data)) is None else -v))
    first = st.tuples(children, children).map(
        lambda it: (
            f"coalesce({it[0][0]}, {it[1][0]})",
            lambda data: it[1][1](data) if (v := it[0][1](data)) is None else v,
        )
    )
    chosen = st.tuples(children, children, children).map(
        lambda it: (
            f"if({it[0][0]} > {it[1][0]}, {it[1][0]}, {it[2][0]})",
            lambda data: it[1][1](data) if _greater(it[0][1](data), it[1][1](data)) else it[2][1](data),
        )
    )
    return made | negated | first | chosen


def _greater(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one > other


numbers = st.none() | st.integers(-1000, 1000) | st.decimals(-100, 100, places=2).map(float)
records = st.fixed_dictionaries({}, optional={"a": numbers, "b": numbers, "n": st.text(max_size=5), "s": st.booleans()})
expressions = st.recursive(st.sampled_from(LEAVES), _arithmetic, max_leaves=8)


@settings(max_examples=400)
@given(expressions, records)
def test_arithmetic_is_exact(expression: Pair, data: dict[str, Any]) -> None:
    """Numbers are those of fractions, to 15 digits; nulls and divisions by zero are where the model has them."""
    text, model = expression
    found, expected = compile_formula(text, FIELDS)(data), model(data)
    if expected is None or found is None:
        assert found == expected
    else:
        assert abs(Fraction(str(found)) - expected) <= abs(expected) * Fraction(1, 10**14)


def _program(text: str) -> Program | FormulaError:
    try:
        return compile_formula(text, FIELDS)
    except FormulaError as error:
        return error


@settings(max_examples=400)
@given(st.text(max_size=60) | st.text("abns()+-*/&<>='\"., 1", max_size=60), records)
def test_any_text_is_a_formula_or_a_fault(text: str, data: dict[str, Any]) -> None:
    """What can be read gives a value whatever the record has; what cannot is refused with a place in it."""
    program = _program(text)
    if isinstance(program, FormulaError):
        assert program.position is None or 1 <= program.position <= len(text) + 1
        return
    program(data)
    program(dict(zip(FIELDS, ["x", [], 3, {}, "9999-99-99", "y"], strict=True)))


values: dict[str, st.SearchStrategy[str]] = {
    "number": st.sampled_from(["a", "b", "0", "-3", "1.5", "99999999999", "null"]),
    "text": st.sampled_from(["n", "''", "'2026-02-31'", "'x'", "null"]),
    "boolean": st.sampled_from(["s", "true", "null"]),
    "date": st.sampled_from(["d", "date(9999, 12, 31)", "date(1, 1, 1)", "null"]),
    "datetime": st.just("null"),
    "list": st.just("t"),
}


@settings(max_examples=300)
@given(st.sampled_from(sorted(FUNCTIONS)), st.data())
def test_functions_raise_nothing(name: str, data: st.DataObject) -> None:
    """Every function gives a value or null, whatever it is given of its types."""
    function = FUNCTIONS[name]
    first = data.draw(
        st.sampled_from(function.takes[0].split("|") if function.takes[0] != "any" else ["number", "text"])
    )
    kinds = [first, *(first if it == "same" else it.split("|")[0] for it in function.takes[1:])]
    given_now = ", ".join(data.draw(values["text" if kind == "any" else kind]) for kind in kinds)
    record = {"a": 1e300, "b": -7, "n": "Zoë", "s": True, "d": "2024-02-29", "t": ["x", 1]}
    program = _program(f"coalesce(text({name}({given_now})), '-')")
    if isinstance(program, FormulaError):
        assert "null" in program.detail
        return
    assert isinstance(program(record), str)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1 + 0.2", 0.3),
        ("1 / 3 * 3", 1),
        ("round(2.5)", 3),
        ("-2 ^ 2", -4),
        ("-7 % 3", 2),
        ("9 ^ 999", None),
        ("date(2026, 2, 31)", None),
        ("date(2026, 1, 31) + 1", "2026-02-01"),
        ("add_months(date(2024, 1, 31), 1)", "2024-02-29"),
        ("days_between(date(2024, 2, 1), date(2024, 3, 1))", 29),
        ("weekday(date(2026, 11, 21))", 6),
        ("not null and (null = null)", True),
        ("null < 1", None),
        ("'a' & 1.50 & true & null", "a1.5true"),
        ("replace('aaa', 'a', '123')", "123123123"),
        ("number(' 12.5 ')", 12.5),
        ("number('NaN')", None),
        ("mid('Zürich', 2, 3)", "üri"),
    ],
)
def test_meaning(text: str, expected: object) -> None:
    """A table of what is easily got wrong."""
    assert compile_formula(text, FIELDS)({}) == expected


def test_names_change_in_place() -> None:
    """Fields go by new names in an expression; texts and functions of the same name stay."""
    assert renamed("lower(n) & ' n ' & n.n", {"n": "m"}) == "lower(m) & ' n ' & m.n"
    assert renamed("length ( length )", {"length": "size"}) == "length ( size )"

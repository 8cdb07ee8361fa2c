"""Values become those of another type, or are kept aside; once or many times, it comes out the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import new_id
from services.records.domain.checks import compile_check
from services.records.domain.definitions import By, Choice, Definition, Field, Move, Pending
from services.records.domain.evolution import converted, reshaped
from services.records.domain.pipelines import Pipeline
from services.records.domain.values import Wrong

BY = By(new_id(), "user", "Test")
OPTIONS = (Choice("Red"), Choice("blue"))
TYPES = {
    "text": {}, "textarea": {}, "number": {}, "rating": {"max": 5}, "boolean": {}, "date": {}, "datetime": {},
    "email": {}, "url": {}, "select": {"options": OPTIONS}, "stage": {"stages": OPTIONS},
    "multiselect": {"options": OPTIONS}, "tags": {}, "duration": {}, "phone": {}, "json": {},
}  # fmt: skip

leaves = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=12)
    | st.sampled_from(["12", " 1 234.5", "12 %", "red", "Red, blue", "2026-01-31", "a@example.com", "yes", "P1D"])
)  # fmt: skip
values = leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.text(max_size=5), leaves, max_size=3)


def field(kind: str, **options: Any) -> Field:
    """A field that is called x."""
    return Field(name="x", type=kind, **{**TYPES[kind], **options})


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("number", "12", 12), ("number", " 1 234.5 ", 1234.5), ("number", True, 1), ("number", "12 %", 12),
        ("text", 12.5, "12.5"), ("text", ["a", "b"], "a, b"), ("text", False, "false"),
        ("boolean", "Yes", True), ("boolean", 0, False), ("date", "2026-01-31T23:00:00.000Z", "2026-01-31"),
        ("datetime", "2026-01-31", "2026-01-31T00:00:00.000Z"), ("select", "RED ", "Red"), ("select", ["blue"], "blue"),
        ("multiselect", "red, Blue", ["Red", "blue"]), ("tags", "a, b", ["a", "b"]), ("tags", 5, ["5"]),
        ("email", ["a@example.com"], "a@example.com"),
    ],
)  # fmt: skip
def test_what_fits_is_converted(kind: str, value: object, expected: object) -> None:
    """Each kind of value becomes what people mean by it in the other type."""
    assert converted(field(kind), value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [("number", "big"), ("number", "1e999"), ("number", "nan"), ("boolean", "perhaps"), ("date", "soon"),
     ("select", "green"), ("email", "nobody"), ("rating", 9), ("text", {"a": 1}), ("tags", {"a": 1})],
)  # fmt: skip
def test_what_does_not_fit_is_told(kind: str, value: object) -> None:
    """Nothing is bent until it fits."""
    with pytest.raises(Wrong):
        converted(field(kind), value)


@given(st.sampled_from(sorted(TYPES)), values)
def test_conversion_ends_in_a_value_of_the_type_and_stays(kind: str, value: object) -> None:
    """Whatever the value, what comes out passes the field's check, and converting it again changes nothing."""
    target = field(kind)
    try:
        once = converted(target, value)
    except Wrong:
        return
    if once is not None:
        assert compile_check(target)(once) == once
        assert converted(target, once) == once


@given(st.dictionaries(st.sampled_from(["a", "b", "x", "gone"]), values.filter(lambda it: it is not None)))
def test_bringing_along_twice_is_as_once(data: dict[str, object]) -> None:
    """Moved, converted and filled in data is left as it is by whoever brings it along next; nothing is lost."""
    fields = Field(name="b", type="json"), field("number", required=True, default=7)
    moves = Move("a", "b"), Move("gone", "gone@2")
    asked = Pending(job_id=new_id(), version=2, by=BY, moves=moves, converts=("x",), fills=("x",))
    pipeline = Pipeline(Definition(new_id(), "Test", 2, fields, pending=(asked,)))
    once = reshaped(pipeline, asked, data, {})
    twice = reshaped(pipeline, asked, once.data, {})
    assert (twice.data, twice.moved, twice.changed, dict(twice.kept)) == (once.data, False, (), {})
    assert not {"a", "gone"} & once.data.keys()
    assert isinstance(once.data["x"], int | float)
    assert once.kept.get("gone@2") == data.get("gone")

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common import bodies
from services.pipelines.domain.definitions import MAX_FIELDS, read_field, read_fields
from services.pipelines.domain.fields import TYPES
from services.pipelines.domain.names import RESERVED

Json = dict[str, Any]
TARGET = "01890000-0000-7000-8000-000000000000"
MINIMAL: dict[str, Json] = {
    "select": {"options": [{"value": "a"}]},
    "multiselect": {"options": [{"value": "a"}, {"value": "b"}]},
    "stage": {"stages": [{"value": "a"}]},
    "relation": {"target_pipeline": TARGET, "relationship_type": "r"},
    "formula": {"expression": "1 + 1"},
    "lookup": {"relation": "r", "field": "name"},
    "rollup": {"relation": "r", "function": "count"},
}


def field(type_: str, **more: Any) -> Json:
    """A field of a type with what it must have."""
    return {"name": "x", "type": type_, **MINIMAL.get(type_, {}), **more}


def found(value: object) -> set[tuple[str, str]]:
    """Pointer and code of each fault of a field."""
    return {(fault.pointer, fault.code) for fault in read_field(value, "")[1]}


@pytest.mark.parametrize("type_", TYPES)
def test_every_type_has_a_smallest_field(type_: str) -> None:
    """A name and what the type must have make a field."""
    assert found(field(type_)) == set()


DEEP: Any = []
for _ in range(32):
    DEEP = [DEEP]

CASES: list[tuple[Json, set[tuple[str, str]]]] = [
    (field("currency", currency="XYZ"), {("/currency", "unknown_currency")}),
    (field("currency", default={"amount": 1.5, "currency": "JPY"}), {("/default", "invalid_default")}),
    (field("currency", default={"amount": 1.5}), {("/default", "invalid_default")}),
    (field("currency", currency="EUR", default={"amount": 1.25}), set()),
    (field("phone", default_country="XX"), {("/default_country", "unknown_country")}),
    (field("duration", default="P1Y"), {("/default", "invalid_default")}),
    (field("rating", max=0), {("/max", "invalid_value")}),
    (field("rating", default=6), {("/default", "invalid_default")}),
    (field("auto_number", required=True), {("/required", "not_applicable")}),
    (field("button", required=True, url="javascript:x"), {("/required", "not_applicable"), ("/url", "invalid_url")}),
    (field("json", default=DEEP), {("/default", "invalid_default")}),
    (field("user", unique=True), {("/unique", "not_applicable")}),
    (field("formula", required=True, default=1), {("/required", "not_applicable"), ("/default", "not_applicable")}),
    (field("formula", expression="1 +"), {("/expression", "invalid_syntax")}),
    (field("formula", expression="1" + " + 1" * 600), {("/expression", "invalid_value")}),
    (field("formula", expression="(" * 50 + "1" + ")" * 50), set()),
    (field("formula", expression="-" * 50 + "1"), {("/expression", "too_complex")}),
    (field("rollup", function="sum"), {("/field", "required")}),
    (field("rollup", function="median", field="x"), {("/function", "invalid_value")}),
    (field("lookup", unique=True), {("/unique", "not_applicable")}),
    (field("text", name=""), {("/name", "invalid_name")}),
    (field("text", name="a" * 64), {("/name", "invalid_value")}),
    (field("text", name="a\n"), {("/name", "invalid_name")}),
    (field("text", name="ä"), {("/name", "invalid_name")}),
    (field("text", min_length=2, max_length=1), {("/max_length", "out_of_range")}),
    (field("text", min_length=-1), {("/min_length", "invalid_value")}),
    (field("text", pattern="("), {("/pattern", "invalid_pattern")}),
    (field("text", pattern="(?=a)"), {("/pattern", "invalid_pattern")}),
    (field("text", pattern=r"(a)\1"), {("/pattern", "invalid_pattern")}),
    (field("text", pattern="((a{1000}){1000}){1000}"), {("/pattern", "invalid_pattern")}),
    (field("text", pattern="a" * 501), {("/pattern", "invalid_value")}),
    (field("text", options=[]), {("/options", "unknown_field")}),
    (field("textarea", unique=True, indexed=True), {("/unique", "not_applicable"), ("/indexed", "not_applicable")}),
    (field("number", searchable=True), {("/searchable", "not_applicable")}),
    (field("number", min=1, max=0.5, step=0), {("/max", "out_of_range"), ("/step", "out_of_range")}),
    (field("number", kind="integer", step=0.5), {("/step", "invalid_value")}),
    (field("number", kind="money"), {("/kind", "invalid_value")}),
    (field("number", max=10**301), {("/max", "out_of_range")}),
    (field("boolean", unique=True), {("/unique", "not_applicable")}),
    (field("select", options=[]), {("/options", "invalid_value")}),
    (field("select", options=[{"value": str(i)} for i in range(501)]), {("/options", "invalid_value")}),
    (field("select", options=[{"value": "a", "color": "#12"}]), {("/options/0/color", "invalid_color")}),
    (field("select", options=[{"value": ""}, {"v": 1}]), {
        ("/options/0/value", "invalid_value"), ("/options/1/v", "unknown_field"), ("/options/1/value", "required"),
    }),
    (field("stage", stages=[{"value": "a"}, {"value": "a"}]), {("/stages/1/value", "duplicate")}),
    (field("stage", transitions={"a": ["b"], "c/d": []}), {
        ("/transitions/a/0", "unknown_stage"), ("/transitions/c~1d", "unknown_stage"),
    }),
    (field("relation", target_pipeline="x"), {("/target_pipeline", "invalid_value")}),
    (field("relation", relationship_type="Belongs To"), {("/relationship_type", "invalid_name")}),
    (field("relation", cardinality="some"), {("/cardinality", "invalid_value")}),
    (field("relation", default=TARGET), {("/default", "not_applicable")}),
    ({"name": "x"}, {("/type", "required")}),
    ({"name": "x", "type": ["text"]}, {("/type", "unknown_type")}),
    ({"type": "select"}, {("/name", "required"), ("/options", "required")}),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), CASES)
def test_faults_of_a_field(value: Json, expected: set[tuple[str, str]]) -> None:
    """Each fault has its place and its code, and nothing else is found."""
    assert found(value) == expected


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_field_is_not_called_like_a_property_of_records(name: str) -> None:
    """Reserved names are refused."""
    assert found(field("text", name=name)) == {("/name", "reserved")}


def test_the_type_gives_what_was_not_said() -> None:
    """A label follows the name; text is searchable and numbers are not."""
    (text, _), (number, _) = (read_field(field(t, name="first_name"), "") for t in ("text", "number"))
    assert text is not None
    assert number is not None
    assert (text.label, text.searchable, number.searchable) == ("First name", True, False)


def test_a_definition_has_so_many_fields() -> None:
    """200 fields are taken, 201 are one fault."""
    fields = [field("text", name=f"f{i}") for i in range(MAX_FIELDS + 1)]
    assert read_fields(fields[:-1], "/fields")[1] == []
    assert [f.code for f in read_fields(fields, "/fields")[1]] == ["too_many"]


def test_a_definition_is_bounded_in_size() -> None:
    """Many long options in many fields are too large together, though each field is right."""
    options = [{"value": f"{i}-" + "v" * 150} for i in range(500)]
    fields = [field("select", name=f"f{i}", options=options) for i in range(4)]
    assert [(f.pointer, f.code) for f in read_fields(fields, "/fields")[1]] == [("/fields", "too_large")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({name for cls in TYPES.values() for name in cls.__struct_fields__})


@settings(max_examples=300)
@given(st.lists(st.dictionaries(st.sampled_from([*NAMES, "type"]), JSON | st.sampled_from([*TYPES]), max_size=8)))
def test_no_json_makes_reading_fail(values: list[object]) -> None:
    """Whatever JSON is given, reading answers with fields and faults and raises nothing."""
    placed, faults = read_fields(values, "/fields")
    assert len(placed) <= len(values)
    assert all(fault.pointer.startswith("/fields") for fault in faults)


@settings(max_examples=300)
@given(st.sampled_from([*TYPES]), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6))
def test_a_field_without_faults_survives_the_wire(type_: str, more: Json) -> None:
    """A field that was read without fault reads the same again out of its own JSON."""
    read, faults = read_field(field(type_, **more), "")
    if not faults:
        again, faults = read_field(msgspec.json.decode(msgspec.json.encode(read)), "")
        assert (again, faults) == (read, [])
    assert bodies.faults(field(type_), TYPES[type_]) == []


def test_indexes_are_bounded() -> None:
    """A pipeline has at most sixteen fields with an index of their own; lists have none."""
    many = [field("number", name=f"n{i}", indexed=True) for i in range(17)]
    assert [(f.pointer, f.code) for f in read_fields(many, "")[1]] == [("/16/indexed", "too_many")]
    assert found(field("tags", indexed=True)) == {("/indexed", "not_applicable")}

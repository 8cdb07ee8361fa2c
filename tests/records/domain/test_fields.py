"""What values fields take, how they are stored, and which faults are named."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import new_id
from services.records.domain import fields
from services.records.domain.definitions import Definition, Field
from services.records.domain.pipelines import Pipeline, unique_key

ID = "01890000-0000-7000-8000-0000000000ab"


def pipeline(*given: dict[str, Any], **options: Any) -> Pipeline:
    """A pipeline with these fields."""
    return Pipeline(Definition(new_id(), "Test", 1, tuple(msgspec.convert(f, Field) for f in given), **options))


def field(type_: str, **options: Any) -> dict[str, Any]:
    """A field named x."""
    return {"name": "x", "type": type_, **options}


CHOICES = [{"value": "a"}, {"value": "b"}]
DEEP: Any = []
for _ in range(32):
    DEEP = [DEEP]
RELATION = {"target_pipeline": ID, "relationship_type": "to"}


@pytest.mark.parametrize(
    ("given", "value", "stored"),
    [
        (field("text"), "Zoë 🎈", "Zoë 🎈"),
        (field("text", min_length=3), "", ""),
        (field("number"), 2**63 - 1, 2**63 - 1),
        (field("number"), -0.0, 0),
        (field("number"), 0.1, 0.1),
        (field("number", kind="integer"), 3.0, 3),
        (field("number", min=0.1, step=0.1), 0.3, 0.3),
        (field("boolean"), False, False),
        (field("date"), "2024-02-29", "2024-02-29"),
        (field("datetime"), "2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00.000Z"),
        (field("datetime"), "2026-01-31t12:00:00.1239z", "2026-01-31T12:00:00.123Z"),
        (field("email"), " Ada@EXAMPLE.com ", "Ada@example.com"),
        (field("email"), "jörg@straße.example.org", "jörg@straße.example.org"),
        (field("url"), "https://example.com:8080/a?b#c", "https://example.com:8080/a?b#c"),
        (field("select", options=CHOICES), "a", "a"),
        (field("multiselect", options=CHOICES), ["b", "a", "b"], ["b", "a"]),
        (field("tags"), [" red ", "red", "Red"], ["red", "Red"]),
        (field("relation", **RELATION), ID.upper(), ID),
        (field("relation", cardinality="many_to_many", **RELATION), [ID, ID], [ID]),
        (field("text", case="upper"), "abc", "ABC"),
        (field("tags", case="lower"), ["Red", "red "], ["red"]),
        (field("currency"), {"amount": "12.50", "currency": "EUR"}, {"amount": 12.5, "currency": "EUR"}),
        (field("currency", currency="JPY"), {"amount": 1200.0}, {"amount": 1200, "currency": "JPY"}),
        (field("currency"), {"amount": -0.001, "currency": "BHD"}, {"amount": -0.001, "currency": "BHD"}),
        (
            field("currency"),
            {"amount": 1234567890123.45, "currency": "USD"},
            {"amount": 1234567890123.45, "currency": "USD"},
        ),
        (field("phone", default_country="DE"), "030 123456", "+4930123456"),
        (field("phone"), "+44 20 7946 0958", "+442079460958"),
        (field("address"), {"city": " Ulm ", "country": "de", "line2": ""}, {"city": "Ulm", "country": "DE"}),
        (field("duration"), "pt90m", "PT1H30M"),
        (field("rating"), 4, 4),
        (field("user"), ID.upper(), ID),
        (field("user", multiple=True), [ID, ID], [ID]),
        (field("json"), {"a": [1, None, {"b": "c"}]}, {"a": [1, None, {"b": "c"}]}),
        (field("of_tomorrow"), {"any": ["thing"]}, {"any": ["thing"]}),
    ],
)
def test_a_value_is_stored_in_its_one_form(given: dict[str, Any], value: object, stored: object) -> None:
    """What a field takes is kept as every reader and filter expects it."""
    data, faults = fields.created(pipeline(given), {"x": value}, {})
    assert faults == []
    assert fields.same(data["x"], stored)


@pytest.mark.parametrize(
    ("given", "value", "code"),
    [
        (field("text"), 1, "wrong_type"),
        (field("text"), "a\0b", "invalid_text"),
        (field("text", max_length=2), "abc", "too_long"),
        (field("text", min_length=2), "a", "too_short"),
        (field("text", pattern="^[a-z]+$"), "A", "pattern_mismatch"),
        (field("textarea"), "a" * 100_001, "too_long"),
        (field("number"), True, "wrong_type"),
        (field("number"), "1", "wrong_type"),
        (field("number"), 2**63, "out_of_range"),
        (field("number"), -(2**63) - 1, "out_of_range"),
        (field("number"), float("nan"), "out_of_range"),
        (field("number"), float("inf"), "out_of_range"),
        (field("number", kind="integer"), 1.5, "not_integer"),
        (field("number", kind="integer"), 1e300, "out_of_range"),
        (field("number", min=1), 0, "too_small"),
        (field("number", max=1), 2, "too_large"),
        (field("number", step=0.5), 0.7, "invalid_step"),
        (field("boolean"), 1, "wrong_type"),
        (field("date"), "2023-02-29", "invalid_date"),
        (field("date"), "20230228", "invalid_date"),
        (field("datetime"), "2026-01-31T12:00:00", "invalid_datetime"),
        (field("datetime"), "0001-01-01T00:00:00+14:00", "invalid_datetime"),
        (field("email"), "a@b", "invalid_email"),
        (field("email"), "a b@example.com", "invalid_email"),
        (field("url"), "javascript:alert(1)", "invalid_url"),
        (field("url"), "https://exa mple.com", "invalid_url"),
        (field("url"), "https://example.com:99999", "invalid_url"),
        (field("select", options=CHOICES), "c", "invalid_option"),
        (field("select", options=CHOICES), ["a"], "wrong_type"),
        (field("multiselect", options=CHOICES), "a", "wrong_type"),
        (field("tags"), [""], "too_short"),
        (field("tags"), [str(i) for i in range(101)], "too_many"),
        (field("currency"), 5, "wrong_type"),
        (field("phone"), "030 123456", "invalid_phone"),
        (field("phone"), "+49 1", "invalid_phone"),
        (field("address"), "Ulm", "wrong_type"),
        (field("duration"), "P1M", "invalid_duration"),
        (field("rating"), 6, "too_large"),
        (field("rating"), -1, "too_small"),
        (field("rating"), 1.5, "not_integer"),
        (field("user"), "me", "invalid_id"),
        (field("json"), {"a": "a" * 70_000}, "too_long"),
        (field("json"), DEEP, "too_deep"),
        (field("json"), {"a": float("nan")}, "out_of_range"),
        (field("auto_number"), "7", "read_only"),
        (field("button"), True, "no_value"),
        (field("relation", **RELATION), "x", "invalid_id"),
        (field("relation", **RELATION), [ID], "wrong_type"),
    ],
)
def test_a_wrong_value_is_named(given: dict[str, Any], value: object, code: str) -> None:
    """What a field does not take is a fault at the field with a stable code."""
    _, faults = fields.created(pipeline(given), {"x": value}, {})
    assert [(fault.pointer, fault.code) for fault in faults] == [("/data/x", code)]


@pytest.mark.parametrize("blank", [None, "", []])
def test_blank_is_not_there(blank: object) -> None:
    """Null, empty text and an empty list do not fill a required field, neither at creation nor later."""
    kind = "tags" if blank == [] else "text"
    required = pipeline(field(kind, required=True))
    assert [fault.code for fault in fields.created(required, {"x": blank}, {})[1]] == ["required"]
    assert [fault.code for fault in fields.changed(required, {"x": "v"}, {"x": blank})[1]] == ["required"]
    assert fields.changed(required, {}, {})[1] == []


def test_given_values_go_before_presets_before_defaults() -> None:
    """A default fills what neither presets nor the client gave."""
    given = pipeline({**field("text", default="d")}, {"name": "y", "type": "text", "default": "d"})
    assert fields.created(given, {"y": "given"}, {"x": "preset", "y": "preset"})[0] == {"x": "preset", "y": "given"}


STAGE = {
    "name": "stage",
    "type": "stage",
    "stages": [{"value": "new"}, {"value": "won", "required_fields": ["amount"]}, {"value": "lost"}],
    "transitions": {"new": ["won"], "won": []},
}


@pytest.mark.parametrize(
    ("before", "patch", "faults"),
    [
        ({"stage": "new"}, {"stage": "won", "amount": 1}, []),
        ({"stage": "new"}, {"stage": "won"}, [("/data/amount", "required_for_stage")]),
        ({"stage": "new"}, {"stage": "lost"}, [("/data/stage", "invalid_transition")]),
        ({"stage": "won"}, {"stage": "won"}, []),
        ({"stage": "lost"}, {"stage": "new"}, [("/data/stage", "invalid_transition")]),
        ({}, {"stage": "lost"}, []),
    ],
)
def test_stages_are_entered_by_their_ways(
    before: dict[str, object], patch: dict[str, object], faults: list[tuple[str, str]]
) -> None:
    """A record enters a stage only by a transition, and with the fields that the stage requires."""
    staged = pipeline(STAGE, {"name": "amount", "type": "number"})
    found = fields.changed(staged, before, patch)[1]
    assert [(fault.pointer, fault.code) for fault in found] == faults


def test_a_record_has_a_bound() -> None:
    """Data of more than 256 KiB is a fault, however it is spread."""
    wide = pipeline(*({"name": f"f{i}", "type": "textarea"} for i in range(3)))
    _, faults = fields.created(wide, {f"f{i}": "a" * 100_000 for i in range(3)}, {})
    assert [(fault.pointer, fault.code) for fault in faults] == [("/data", "too_large")]


def test_a_title_is_a_template_filled_in() -> None:
    """Placeholders are replaced by values, absent ones by nothing; without a template the first text is the title."""
    both = [{"name": "a", "type": "text"}, {"name": "b", "type": "number"}]
    assert pipeline(*both, title_template="{a} – {b}").title({"a": "x", "b": 2}) == "x – 2"
    assert pipeline(*both, title_template="{a} {b}").title({"b": 2}) == "2"
    assert pipeline(*both).title({"a": "x", "b": 2}) == "x"


def test_equal_values_have_one_key() -> None:
    """1 and 1.0 are the same to a unique field, addresses in any case are, texts in another case are not."""
    number, email, text = (Field(name="x", type=kind) for kind in ("number", "email", "text"))
    assert unique_key(number, 1) == unique_key(number, 1.0) == "1"
    assert unique_key(number, 100.5) == "100.5"
    assert unique_key(email, "A@b.c") == unique_key(email, "a@b.c")
    assert unique_key(text, "A") != unique_key(text, "a")
    assert len(unique_key(text, "a" * 1000)) < 100


@pytest.mark.parametrize(
    ("given", "value", "faults"),
    [
        (field("currency"), {"amount": 1.234}, {("currency", "unknown_currency")}),
        (field("currency", currency="EUR"), {"amount": 1.234}, {("amount", "too_many_decimals")}),
        (field("currency", currency="EUR"), {"amount": 10**15, "currency": "USD"}, {
            ("amount", "too_many_digits"), ("currency", "wrong_currency"),
        }),
        (field("currency"), {"amount": "x", "currency": "DEM"}, {
            ("amount", "invalid_amount"), ("currency", "unknown_currency"),
        }),
        (field("currency"), {"amount": float("inf"), "currency": "EUR"}, {("amount", "invalid_amount")}),
        (field("currency"), {"a/b": 1, "c": 2}, {("a~1b", "unknown_field"), ("c", "unknown_field")}),
        (field("address"), {"city": 1, "country": "XX"}, {("city", "wrong_type"), ("country", "unknown_country")}),
    ],
)  # fmt: skip
def test_every_part_of_a_value_is_told(given: dict[str, Any], value: object, faults: set[tuple[str, str]]) -> None:
    """What is wrong within a structured value is named by its parts, all at once."""
    _, found = fields.created(pipeline(given), {"x": value}, {})
    assert {(fault.pointer.removeprefix("/data/x/"), fault.code) for fault in found} == faults


@given(st.decimals(min_value=-(10**13), max_value=10**13, places=2, allow_nan=False, allow_infinity=False))
def test_amounts_are_exact(amount: Decimal) -> None:
    """Any amount of up to 15 digits comes back as the very decimal it was, through JSON and back."""
    data, faults = fields.created(pipeline(field("currency")), {"x": {"amount": str(amount), "currency": "EUR"}}, {})
    assert faults == []
    sent = msgspec.json.decode(msgspec.json.encode(data["x"]))
    assert Decimal(repr(sent["amount"])) == amount


def test_an_automatic_number_stays() -> None:
    """A patch may send it back as it is, and is refused when it changes or clears it."""
    one = pipeline(field("auto_number", prefix="A-"), {"name": "y", "type": "text"})
    assert fields.changed(one, {"x": "A-1"}, {"x": "A-1", "y": "b"}) == ({"x": "A-1", "y": "b"}, [])
    for value in ("A-2", None):
        assert [fault.code for fault in fields.changed(one, {"x": "A-1"}, {"x": value})[1]] == ["read_only"]

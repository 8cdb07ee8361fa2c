"""The JSON Schema that pipelines gives and the validation that records does say the same of a document."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from libs.common import clock
from libs.common.ids import new_id
from services.pipelines.domain.definitions import read_fields
from services.pipelines.domain.json_schema import json_schema
from services.pipelines.domain.pipelines import Pipeline as Defined
from services.records.domain import fields
from services.records.domain.definitions import Definition, Field
from services.records.domain.pipelines import Pipeline

ID = "01890000-0000-7000-8000-0000000000ab"
OPTIONS = [{"value": "a"}, {"value": "b"}]
STAGES = [{"value": "new"}, {"value": "won", "required_fields": ["score", "tags"]}]
GIVEN: list[dict[str, Any]] = [
    {"name": "name", "type": "text", "required": True, "max_length": 5},
    {"name": "code", "type": "text", "min_length": 2, "pattern": "^[a-z]+$"},
    {"name": "score", "type": "number", "kind": "integer", "min": -10, "max": 100, "step": 5},
    {"name": "weight", "type": "number", "min": 0.5, "default": 1},
    {"name": "active", "type": "boolean"},
    {"name": "born", "type": "date"},
    {"name": "met", "type": "datetime"},
    {"name": "mail", "type": "email"},
    {"name": "site", "type": "url"},
    {"name": "size", "type": "select", "options": OPTIONS},
    {"name": "sizes", "type": "multiselect", "options": OPTIONS},
    {"name": "stage", "type": "stage", "stages": STAGES},
    {"name": "tags", "type": "tags"},
    {"name": "company", "type": "relation", "target_pipeline": ID, "relationship_type": "works_in"},
    {"name": "price", "type": "currency"},
    {"name": "fee", "type": "currency", "currency": "JPY"},
    {"name": "took", "type": "duration"},
    {"name": "phone", "type": "phone"},
    {"name": "home", "type": "address"},
    {"name": "stars", "type": "rating", "max": 3},
    {"name": "owner", "type": "user", "multiple": True},
    {"name": "paper", "type": "file", "types": ["image/*"]},
    {"name": "papers", "type": "file", "multiple": True},
    {"name": "extra", "type": "json"},
    {"name": "push", "type": "button"},
]

EMPTY: list[Any] = [None, "", [], {}]
odd: st.SearchStrategy[Any] = st.sampled_from(
    [*EMPTY, 0, 7, -5, 2.5, True, False, [1], ["a", "a"], {"b": 1}, ["c"], 10**15]
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["Ada", "Zoë", "longer than five"]),
    "code": st.sampled_from(["ab", "a", "A1", "abc"]),
    "score": st.integers(-30, 120) | st.sampled_from([5.0, 2**63, -(2**63) - 1]),
    "weight": st.floats(0, 3, allow_nan=False),
    "active": st.booleans(),
    "born": st.sampled_from(["2024-02-29", "2023-02-29", "9999-12-31", "0001-01-01", "20240101", "2024-W01-1"]),
    "met": st.sampled_from(["2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00", "soon"]),
    "mail": st.sampled_from(["ada@example.com", "nobody"]),
    "site": st.sampled_from(["https://example.com/a?b", "ftp://example.com"]),
    "size": st.sampled_from(["a", "b", "c"]),
    "sizes": st.lists(st.sampled_from(["a", "b", "c"]), max_size=3, unique=True),
    "stage": st.sampled_from(["new", "won", "lost"]),
    "tags": st.lists(st.sampled_from(["red", "x" * 101, " "]), max_size=2, unique=True),
    "company": st.sampled_from([ID, "nowhere"]),
    "price": st.fixed_dictionaries(
        {"amount": st.sampled_from([1, 2.5, -3, 10**15, 10**14, "x"])},
        optional={"currency": st.sampled_from(["EUR", "JPY", "XYZ"]), "more": st.just(1)},
    ),
    "fee": st.fixed_dictionaries({"amount": st.sampled_from([1, 2.5]), "currency": st.sampled_from(["JPY", "EUR"])}),
    "took": st.sampled_from(["PT1H30M", "P1D", "P1Y", "PT"]),
    "phone": st.sampled_from(["+442079460958", "020 7946", "+x"]),
    "home": st.fixed_dictionaries(
        {"city": st.sampled_from(["Ulm", 1, "x" * 501]), "country": st.sampled_from(["DE", "ZZ"])}
    ),
    "stars": st.integers(-1, 4),
    "owner": st.lists(st.sampled_from([ID, "me"]), max_size=2, unique=True),
    "paper": st.sampled_from([ID, "nothing"]),
    "papers": st.lists(st.sampled_from([ID, "none"]), max_size=2, unique=True),
    "extra": st.recursive(st.none() | st.booleans() | st.integers(0, 9) | st.text("ab"), st.lists, max_leaves=5),
    "push": st.just(True),
    "unknown": st.just(1),
}
documents = st.fixed_dictionaries({}, optional={name: value | odd for name, value in VALUES.items()})


def defined() -> Defined:
    """The pipeline as the pipelines service has it."""
    placed, faults = read_fields(GIVEN, "")
    assert faults == []
    now, who = clock.now(), new_id()
    return Defined(
        id=new_id(), version=1, slug="p", name="P", description=None, icon=None, color=None, title_template=None,
        fields=tuple(field for _, field in placed), created_at=now, created_by=who, updated_at=now, updated_by=who,
    )  # fmt: skip


def kept(pipeline: Defined) -> Pipeline:
    """The same pipeline as records hears of it."""
    told = msgspec.json.encode(pipeline.fields)
    return Pipeline(Definition(pipeline.id, pipeline.name, 1, msgspec.json.decode(told, type=tuple[Field, ...])))


DEFINED = defined()
KEPT = kept(DEFINED)
VALIDATOR = Draft202012Validator(json_schema(DEFINED), format_checker=FormatChecker(["date", "uuid", "email"]))


def test_the_schema_is_one() -> None:
    """The document is JSON Schema itself."""
    Draft202012Validator.check_schema(json_schema(DEFINED))


@settings(max_examples=600)
@given(documents)
def test_a_stock_validator_and_records_agree(document: dict[str, Any]) -> None:
    """What the schema takes, records takes; what records takes is, in the form it is kept in, what the schema takes."""
    stored, faults = fields.created(KEPT, document, {})
    if VALIDATOR.is_valid(document):
        assert [fault for fault in faults if fault.pointer != "/data/met"] == []
    if not faults:
        assert [error.message for error in VALIDATOR.iter_errors(stored)] == []


@settings(max_examples=300)
@given(st.sampled_from(list(VALUES)), st.data())
def test_they_agree_on_each_field(name: str, data: st.DataObject) -> None:
    """One field at a time, beside what is required, acceptance is the same where a value is in its stored form."""
    value = data.draw(VALUES.get(name, odd) | odd)
    document = {"name": "Ada", name: value}
    stored, faults = fields.created(KEPT, document, {})
    accepted = not faults and fields.same(stored.get(name), value)
    if accepted:
        assert VALIDATOR.is_valid(document)
    if faults and name != "met":
        assert not VALIDATOR.is_valid(document), (document, faults)

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.errors import Invalid
from libs.common.filters import And, Compare, Field, Kind, NoneOf, Op, Some, parse_query, parse_tree
from tests.common.filters.strategies import CONTACT, RESTRICTED


def _faults(tree: object) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as raised:
        parse_tree(tree, CONTACT)
    return [(fault.pointer, fault.code) for fault in raised.value.errors]


def test_every_fault_is_reported_with_its_place() -> None:
    """Faults in different branches come together, each with pointer and code."""
    tree = {
        "or": [
            {"field": "nope", "value": 1},
            {"field": "score", "op": "contains", "value": "1"},
            {"not": {"field": "score", "op": "gte", "value": "much"}},
            {"field": "born", "op": "between", "value": ["2026-01-01"]},
            {"field": "stage", "op": "like", "value": "x"},
            {"field": "rank", "op": "in", "value": [1, True, "x"]},
            {"field": "name.first", "value": "x"},
            {"field": "name", "value": "x", "values": 1},
            {"some": {"field": "company", "filter": {"field": "nope", "value": 1}}},
            {"field": "name"},
            7,
        ]
    }
    assert _faults(tree) == [
        ("/filter/or/0/field", "unknown_field"),
        ("/filter/or/1/op", "invalid_operator"),
        ("/filter/or/2/not/value", "invalid_value"),
        ("/filter/or/3/value", "invalid_value"),
        ("/filter/or/4/op", "unknown_operator"),
        ("/filter/or/5/value/1", "invalid_value"),
        ("/filter/or/5/value/2", "invalid_value"),
        ("/filter/or/6/field", "not_a_relation"),
        ("/filter/or/7/values", "unknown_key"),
        ("/filter/or/8/some/filter/field", "unknown_field"),
        ("/filter/or/9/value", "required"),
        ("/filter/or/10", "invalid_filter"),
    ]


def _nested(depth: int) -> object:
    leaf: object = {"field": "score", "value": 1}
    for _ in range(depth):
        leaf = {"not": leaf}
    return leaf


@pytest.mark.parametrize(
    ("tree", "code"),
    [
        (_nested(10), "too_deep"),
        (_nested(5000), "too_deep"),
        ({"and": [{}] * 200}, "too_many_nodes"),
        ({"and": [{"and": [{}] * 150}] * 1000}, "too_many_nodes"),
        ({"field": "score", "op": "in", "value": [1] * 1001}, "too_many_values"),
        ({"field": "name", "value": "x" * 10_001}, "invalid_value"),
        ({"field": "company.parent.parent.parent.parent.name", "value": "x"}, "too_far"),
        ({"some": {"field": "company.parent", "filter": {"field": "parent.parent.parent.id", "value": 1}}}, "too_far"),
    ],
    ids=range(8),
)
def test_bounds(tree: object, code: str) -> None:
    """A filter over a bound is refused by name, however large it is."""
    assert [found for _, found in _faults(tree)] == [code]


def test_what_is_within_the_bounds_is_taken() -> None:
    """Ten levels, two hundred nodes, a thousand values and four relations are fine."""
    assert parse_tree(_nested(9), CONTACT)
    assert parse_tree({"and": [{}] * 199}, CONTACT)
    assert parse_tree({"field": "score", "op": "in", "value": [1] * 1000}, CONTACT)
    assert parse_tree({"field": "company.parent.parent.parent.name", "value": "x"}, CONTACT)
    inner = {"field": "parent.parent.name", "value": "x"}
    assert parse_tree({"some": {"field": "company.parent", "filter": inner}}, CONTACT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("score", True),
        ("score", float("nan")),
        ("score", float("inf")),
        ("score", "Infinity"),
        ("score", "1_0"),
        ("score", "١"),
        ("score", "1e999"),
        ("score", 10**500),
        ("score", Decimal("1e-500")),
        ("name", 5),
        ("name", "a\0b"),
        ("name", "\ud800"),
        ("active", "yes"),
        ("active", 1),
        ("born", "2026-02-30"),
        ("born", "2026-01-01T00:00:00Z"),
        ("met", "2026-01-01T00:00:00"),
        ("met", "2026-01-01T25:00:00Z"),
        ("met", "0001-01-01T00:00:00+14:00"),
        ("born", "+9999999d"),
        ("born", "5m"),
        ("owner", "me"),
        ("owner", "\0"),
        ("company", 7),
        ("score", None),
        ("score", {}),
        ("score", []),
    ],
)
def test_values_of_the_wrong_type_are_refused(field: str, value: object) -> None:
    """A value that is not of the field's kind is a fault at the value."""
    assert _faults({"field": field, "op": "in", "value": [value]}) == [("/filter/value/0", "invalid_value")]


def test_without_operator_it_is_eq_and_null_is_is_null() -> None:
    """`eq` is the default operator; comparing with null asks for null."""
    assert parse_tree({"field": "score", "value": 5}, CONTACT) == Compare(("score",), Op.EQ, Decimal(5))
    assert parse_tree({"field": "score", "value": None}, CONTACT) == Compare(("score",), Op.IS_NULL, True)
    assert parse_tree({"field": "score", "op": "ne", "value": None}, CONTACT) == Compare(("score",), Op.IS_NULL, False)
    assert parse_tree({}, CONTACT) == And(())


def test_some_and_none_lead_to_related_records() -> None:
    """The inner filter of `some` and `none` speaks of the target's fields."""
    inner = {"field": "name", "value": "a"}
    expected = Compare(("name",), Op.EQ, "a")
    assert parse_tree({"some": {"field": "clients", "filter": inner}}, CONTACT) == Some(("clients",), expected)
    assert parse_tree({"none": {"field": "clients", "filter": inner}}, CONTACT) == NoneOf(("clients",), expected)


def test_some_and_none_may_be_written_as_operators() -> None:
    """A comparison by them takes a filter for its value, and its faults point into that."""
    inner = {"field": "name", "value": "a"}
    for op in ("some", "none"):
        written = {"field": "clients", "op": op, "value": inner}
        assert parse_tree(written, CONTACT) == parse_tree({op: {"field": "clients", "filter": inner}}, CONTACT)
    wrong: list[dict[str, object]] = [
        {"field": "clients", "op": "some", "value": {"field": "nope", "value": 1}},
        {"field": "name", "op": "none", "value": inner},
        {"field": "clients", "op": "some"},
    ]
    with pytest.raises(Invalid) as caught:
        parse_tree({"and": wrong}, CONTACT)
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [
        ("/filter/and/0/value/field", "unknown_field"),
        ("/filter/and/1/field", "not_a_relation"),
        ("/filter/and/2/value", "required"),
    ]


def test_a_field_the_caller_may_not_read_does_not_exist() -> None:
    """A field left out of the target's schema is unknown, though the guard may use it."""
    with pytest.raises(Invalid) as raised:
        parse_tree({"field": "company.size", "value": 1}, RESTRICTED)
    assert [fault.code for fault in raised.value.errors] == ["unknown_field"]


def test_query_strings() -> None:
    r"""Brackets, several values, `\,` and flags; all that is given must hold, other keys are not ours."""
    pairs = [
        ("limit", "5"),
        ("filter[score][gte]", "50"),
        ("filter[stage]", "won, maybe"),
        ("filter[name][in]", r"a,b\,c"),
        ("filter[company.name][is_null]", ""),
        ("filter", '{"field": "rank", "value": 0.1}'),
        ("filters", "no"),
    ]
    assert parse_query(pairs, CONTACT) == And(
        (
            Compare(("score",), Op.GTE, Decimal(50)),
            Compare(("stage",), Op.EQ, "won, maybe"),
            Compare(("name",), Op.IN, ("a", "b,c")),
            Compare(("company", "name"), Op.IS_NULL, True),
            Compare(("rank",), Op.EQ, Decimal("0.1")),
        )
    )
    assert parse_query([("sort", "name")], CONTACT) is None


def test_faults_of_a_query_string_come_together() -> None:
    """Each key's fault names the key."""
    pairs = [
        ("filter[score][gte]", "x"),
        ("filter[nope]", "1"),
        ("filter[a", "1"),
        ("filter", "{"),
        ("filter", "[" * 100_000),
    ]
    with pytest.raises(Invalid) as raised:
        parse_query(pairs, CONTACT)
    assert [(fault.pointer, fault.code) for fault in raised.value.errors] == [
        ("/filter/score/gte", "invalid_value"),
        ("/filter/nope", "unknown_field"),
        ("/filter[a", "invalid_filter"),
        ("/filter", "invalid_json"),
        ("/filter", "invalid_json"),
    ]


def test_a_query_string_is_bounded_as_a_tree_is() -> None:
    """More than two hundred conditions are refused in brackets as well."""
    with pytest.raises(Invalid) as raised:
        parse_query([("filter[score]", "1")] * 500, CONTACT)
    assert [fault.code for fault in raised.value.errors] == ["too_many_nodes"]


_keys = st.text("filter[]score.name,\\{}:-1 ", max_size=30).map(lambda key: f"filter{key}")
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["name", "eq", "in", "score"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["and", "or", "not", "some", "none", "field", "op", "value", "filter"]) | st.text(), inner
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300)
@given(_json)
def test_any_json_is_a_filter_or_a_list_of_faults(tree: object) -> None:
    """No input makes the parser fail in another way than with faults."""
    with suppress(Invalid):
        parse_tree(tree, CONTACT)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.text('filter[]score.name,\\{}":-1 ', max_size=30).map(lambda key: f"filter{key}"), st.text()))
)
def test_any_query_string_is_a_filter_or_a_list_of_faults(pairs: list[tuple[str, str]]) -> None:
    """No query string makes the parser fail in another way than with faults."""
    with suppress(Invalid):
        parse_query(pairs, CONTACT)


@pytest.mark.parametrize("name", ["", "A", "a'b", "a b", "1a", "a" * 64, "a;--", "é"])
def test_names_that_are_no_slugs_make_no_field(name: str) -> None:
    """A field cannot carry SQL in its name or its column."""
    with pytest.raises(ValueError, match="not a field name"):
        Field(name, Kind.TEXT)
    with pytest.raises(ValueError, match="not a field name"):
        Field("fine", Kind.TEXT, column=name)

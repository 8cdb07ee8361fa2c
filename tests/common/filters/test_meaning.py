from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest

from libs.common.filters import COLUMNS, Context, Field, Kind, Schema, evaluate, is_relative, parse_tree
from tests.common.filters.strategies import COMPANIES, CONTACT, CONTACTS, RESTRICTED
from tests.common.filters.table import NOW, Table, identifier, record

pytestmark = pytest.mark.integration

_FULL = {
    "name": "Straße 100%",
    "stage": "won",
    "score": 50,
    "rank": 0.1,
    "active": True,
    "born": "2026-03-04",
    "met": "2026-03-04T05:06:07.008Z",
    "tags": ["a", "b"],
    "extra": {"a": 1},
    "owner": identifier(901),
    "company": identifier(101),
    "clients": [identifier(102), identifier(101)],
}
_COMPANIES = [
    record(101, COMPANIES, {"name": "steel", "size": 5, "parent": identifier(102)}),
    record(102, COMPANIES, {"name": "wood", "size": 1}),
    record(103, COMPANIES, {"name": "steel", "size": 9}, deleted_at="2026-01-01T00:00:00.000Z"),
    record(104, CONTACTS, {"name": "steel", "size": 9}),
]


def _passing(table: Table, tree: object, *rows: Mapping[str, object], schema: Schema = CONTACT) -> list[bool]:
    """Which of the contacts pass; both back ends have to say the same."""
    contacts = [record(1 + index, CONTACTS, row) for index, row in enumerate(rows)]
    table.fill([*_COMPANIES, *contacts])
    live = {str(row["id"]): row for row in _COMPANIES if not row["deleted_at"]}
    node = parse_tree(tree, schema)
    found = table.passing(node, schema, NOW, CONTACTS)
    judged = [evaluate(node, row, schema, NOW, live.get) for row in contacts]
    assert judged == [row["id"] in found for row in contacts]
    return judged


@pytest.mark.parametrize(
    ("field", "op", "value", "full", "null"),
    [
        ("name", "eq", "Straße 100%", True, False),
        ("name", "eq", "straße 100%", False, False),
        ("name", "ne", "x", True, True),
        ("name", "ne", "Straße 100%", False, True),
        ("name", "nin", ["x", "Straße 100%"], False, True),
        ("name", "in", [], False, False),
        ("name", "nin", [], True, True),
        ("name", "contains", "aß", True, False),
        ("name", "contains", "ASS", False, False),
        ("name", "icontains", "ASSE", True, False),
        ("name", "contains", "0%", True, False),
        ("name", "contains", "1_0", False, False),
        ("name", "contains", "", True, False),
        ("name", "starts_with", "Stra", True, False),
        ("name", "starts_with", "stra", False, False),
        ("name", "starts_with", "", True, False),
        ("name", "ends_with", "0%", True, False),
        ("name", "ends_with", "%0", False, False),
        ("name", "lt", "a", True, False),
        ("name", "is_null", True, False, True),
        ("name", "is_null", False, True, False),
        ("name", "is_empty", True, False, True),
        ("score", "eq", 50.0, True, False),
        ("score", "ne", 5, True, True),
        ("score", "between", [50, 51], True, False),
        ("score", "between", [51, 50], False, False),
        ("score", "gt", 50, False, False),
        ("score", "gte", "50.000", True, False),
        ("rank", "eq", "0.1", True, False),
        ("rank", "gt", "0.1000000000000000055", False, False),
        ("active", "eq", True, True, False),
        ("active", "ne", True, False, True),
        ("born", "eq", "today", True, False),
        ("born", "within", "-7d", True, False),
        ("born", "within", "this_week", True, False),
        ("born", "before", "this_month", False, False),
        ("born", "in", ["yesterday", "2026-03-04"], True, False),
        ("born", "between", ["yesterday", "tomorrow"], True, False),
        ("met", "eq", "$now", True, False),
        ("met", "eq", "2026-03-04", True, False),
        ("met", "gt", "2026-03-04", False, False),
        ("met", "lte", "2026-03-04", True, False),
        ("met", "after", "-1s", True, False),
        ("met", "within", "1h", True, False),
        ("tags", "has_any", ["x", "b"], True, False),
        ("tags", "has_all", ["b", "a"], True, False),
        ("tags", "has_all", ["b", "x"], False, False),
        ("tags", "has_all", [], True, False),
        ("tags", "has_any", [], False, False),
        ("tags", "is_empty", False, True, False),
        ("extra", "is_empty", False, True, False),
        ("owner", "eq", "$user", True, False),
        ("clients", "has_any", [identifier(101)], True, False),
        ("company", "eq", identifier(101).upper(), True, False),
        ("company.name", "eq", "steel", True, False),
        ("company.parent.name", "eq", "wood", True, False),
        ("company.name", "ne", "steel", False, True),
        ("company.name", "is_null", True, False, True),
        ("clients.name", "eq", "wood", True, False),
        ("clients.name", "ne", "wood", False, True),
        ("version", "eq", 1, True, True),
        ("created_at", "eq", "2026-03-04T05:06:07.008Z", True, True),
    ],
)
def test_operators(table: Table, field: str, op: str, value: object, full: bool, null: bool) -> None:
    """What each operator says of a filled record and of one without values."""
    assert _passing(table, {"field": field, "op": op, "value": value}, _FULL, {}) == [full, null]


def test_empty_is_null_or_nothing(table: Table) -> None:
    """An empty text, list or object is empty; zero and false are not."""
    for name, empty in {"name": "", "tags": [], "extra": {}}.items():
        assert _passing(table, {"field": name, "op": "is_empty"}, {name: empty}, {name: None}) == [True, True]
        assert _passing(table, {"field": name, "op": "is_null"}, {name: empty}, {name: None}) == [False, True]
    for name, value in {"score": 0, "active": False}.items():
        assert _passing(table, {"field": name, "op": "is_empty"}, {name: value}) == [False]


def test_groups(table: Table) -> None:
    """Groups are two-valued: what is not true is false, and its negation true."""
    leaf = {"field": "score", "op": "gt", "value": 40}
    assert _passing(table, {"not": leaf}, _FULL, {}) == [False, True]
    assert _passing(table, {"not": {"not": leaf}}, _FULL, {}) == [True, False]
    assert _passing(table, {"and": [leaf, {"or": [{"field": "stage", "value": "won"}]}]}, _FULL, {}) == [True, False]
    assert _passing(table, {"or": []}, _FULL) == [False]
    assert _passing(table, {"and": []}, _FULL) == [True]


def test_some_and_none(table: Table) -> None:
    """`some` needs one related record that passes as a whole, `none` is its negation."""
    small = {"and": [{"field": "name", "value": "wood"}, {"field": "size", "op": "lt", "value": 2}]}
    mixed = {"and": [{"field": "name", "value": "steel"}, {"field": "size", "op": "lt", "value": 2}]}
    assert _passing(table, {"some": {"field": "clients", "filter": small}}, _FULL, {}) == [True, False]
    assert _passing(table, {"some": {"field": "clients", "filter": mixed}}, _FULL, {}) == [False, False]
    assert _passing(table, {"none": {"field": "clients", "filter": mixed}}, _FULL, {}) == [True, True]


def test_deleted_and_foreign_records_are_not_reached(table: Table) -> None:
    """A relation reaches only live records of its target pipeline."""
    rows = [{"company": identifier(number)} for number in (101, 103, 104, 105)]
    assert _passing(table, {"field": "company.name", "value": "steel"}, *rows) == [True, False, False, False]


def test_a_guard_hides_what_the_caller_may_not_see(table: Table) -> None:
    """Records the guard refuses are not reached, at each hop, and `none` and `is_null` cannot tell them apart."""
    hidden = {"company": identifier(102), "clients": [identifier(102)]}
    assert _passing(table, {"field": "company.name", "value": "wood"}, hidden) == [True]
    assert _passing(table, {"field": "company.name", "value": "wood"}, hidden, schema=RESTRICTED) == [False]
    assert _passing(table, {"field": "company.name", "op": "is_null"}, hidden, schema=RESTRICTED) == [True]
    assert _passing(table, {"none": {"field": "clients"}}, hidden, schema=RESTRICTED) == [True]
    assert _passing(table, {"field": "company.parent.name", "value": "wood"}, _FULL) == [True]
    assert _passing(table, {"field": "company.parent.name", "value": "wood"}, _FULL, schema=RESTRICTED) == [False]


def test_guards_that_reach_each_other_end(table: Table) -> None:
    """A guard's own relations are not guarded again, so guards in a circle are no endless question."""
    fields = dict(COLUMNS)
    schema = Schema(fields, pipeline_id=CONTACTS)
    fields["boss"] = Field("boss", Kind.RELATION, target=schema)
    fields["name"] = Field("name", Kind.TEXT)
    guard = parse_tree({"field": "boss.name", "value": "a"}, schema)
    guarded = Schema(fields, guard, CONTACTS)
    fields["boss"] = Field("boss", Kind.RELATION, target=guarded)
    node = parse_tree({"field": "boss.name", "value": "b"}, guarded)
    rows = [{"name": "a"}, {"name": "b", "boss": identifier(1)}, {"name": "c", "boss": identifier(2)}]
    table.fill([record(1 + index, CONTACTS, row) for index, row in enumerate(rows)])
    assert table.passing(node, guarded, NOW, CONTACTS) == {identifier(3)}


def test_columns_with_microseconds_compare_by_millisecond(table: Table) -> None:
    """The database's microseconds never show: a time equals the milliseconds the API tells."""
    table.fill([record(1, CONTACTS, {}, created_at="2026-03-04T05:06:07.008999Z")])
    shown = "2026-03-04T05:06:07.008Z"
    said = {"eq": True, "lte": True, "gte": True, "gt": False, "lt": False}
    for op, expected in said.items():
        node = parse_tree({"field": "created_at", "op": op, "value": shown}, CONTACT)
        assert bool(table.passing(node, CONTACT, NOW, CONTACTS)) == expected
        assert evaluate(node, record(1, CONTACTS, {}), CONTACT, NOW, lambda _: None) == expected


def test_nobody_is_no_user(table: Table) -> None:
    """Without a user `$user` is null: it equals nothing, not even null."""
    nobody = Context(datetime(2026, 1, 1, tzinfo=UTC))
    table.fill([record(1, CONTACTS, {"owner": identifier(1)}), record(2, CONTACTS, {})])
    equal, other = ({"field": "owner", "op": op, "value": "$user"} for op in ("eq", "ne"))
    assert table.passing(parse_tree(equal, CONTACT), CONTACT, nobody, CONTACTS) == set()
    assert table.passing(parse_tree(other, CONTACT), CONTACT, nobody, CONTACTS) == {identifier(1), identifier(2)}


def test_what_speaks_of_now_is_known() -> None:
    """Only filters that change with time are relative; the same word in a text is not."""
    relative = {"and": [{"some": {"field": "company", "filter": {"field": "created_at", "op": "gt", "value": "-7d"}}}]}
    assert is_relative(parse_tree(relative, CONTACT), CONTACT)
    assert is_relative(parse_tree({"field": "born", "op": "in", "value": ["2026-01-01", "today"]}, CONTACT), CONTACT)
    assert not is_relative(parse_tree({"field": "name", "value": "today"}, CONTACT), CONTACT)


def test_values_are_only_ever_parameters(table: Table) -> None:
    """Text that looks like SQL is a value like any other."""
    text = "'; drop table records; --\\"
    for op in ("eq", "contains", "starts_with", "gt"):
        _passing(table, {"field": "name", "op": op, "value": text}, {"name": text})
    assert table.fetch("select count(*) as rows from records")[0]["rows"] > 0


def test_records_read_from_the_driver_are_judged_too() -> None:
    """Ids may be UUIDs and times datetimes, as the database driver gives them."""
    at = datetime(2026, 3, 4, 5, 6, 7, 8999, UTC)
    row = record(1, CONTACTS, {}, id=UUID(identifier(1)), created_at=at)
    for leaf in ({"field": "id", "value": identifier(1)}, {"field": "created_at", "value": "2026-03-04T05:06:07.008Z"}):
        assert evaluate(parse_tree(leaf, CONTACT), row, CONTACT, NOW, lambda _: None)

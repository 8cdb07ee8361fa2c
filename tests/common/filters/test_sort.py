from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.errors import Invalid
from libs.common.filters import COLUMNS, Sort, expression, parse_sort, parse_tree
from tests.common.filters import strategies
from tests.common.filters.table import TENANT, Table, identifier, record

pytestmark = pytest.mark.integration

_NAMES = ["name", "stage", "score", "active", "born", "met", "owner", *COLUMNS]
_WHERE = "r.tenant_id = $1 and r.deleted_at is null"

_few = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "B", "b", "ß", "\U0010ffff", "ﬁ", 1]),
        "stage": st.sampled_from(["won", "lost"]),
        "score": st.sampled_from([0, 1, 0.5, 2**70, -1, "x"]),
        "active": st.booleans() | st.none(),
        "born": strategies.dates,
        "met": strategies.times,
        "owner": strategies.users,
    },
)


@st.composite
def _rows(draw: st.DrawFn) -> list[dict[str, object]]:
    times = st.sampled_from(["2026-03-04T05:06:07.008Z", "2026-03-04T05:06:07.008001Z", "2026-03-05T00:00:00+02:00"])
    return [
        record(
            index,
            strategies.CONTACTS,
            draw(_few),
            version=draw(st.integers(1, 2)),
            title=draw(st.none() | st.sampled_from(["t", "T", ""])),
            created_at=draw(times),
            created_by=draw(st.none() | strategies.users),
        )
        for index in range(draw(st.integers(0, 14)))
    ]


@st.composite
def _sorts(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(_NAMES), max_size=4, unique=True))
    return ",".join(draw(st.sampled_from(["", "-"])) + name for name in names)


def _pages(table: Table, sort: Sort, limit: int) -> list[list[str]]:
    """The ids of each page, every cursor having travelled as text."""
    pages: list[list[str]] = []
    after: Sequence[object] | None = None
    while True:
        params: list[object] = [TENANT]
        rows = table.fetch(sort.page("r.id", _WHERE, after, limit, params), *params)
        pages.append([str(row["id"]) for row in rows])
        if len(rows) < limit:
            return pages
        after = sort.decode(sort.encode(rows[-1]["cursor_key"], "list"), "list")


@settings(max_examples=150)
@given(_rows(), _sorts(), st.integers(1, 5))
def test_pages_are_the_sorted_set(table: Table, rows: list[dict[str, object]], text: str, limit: int) -> None:
    """Following cursors gives every record once, in order, with any nulls, duplicates and directions."""
    table.fill(rows)
    sort = parse_sort(text, strategies.CONTACT)
    ordered = table.fetch(f"select r.id from records r where {_WHERE} order by {sort.order_by()}", TENANT)  # noqa: S608
    expected = [str(row["id"]) for row in ordered]
    assert len(expected) == len(rows)
    assert expected == [identifier for page in _pages(table, sort, limit) for identifier in page]


@settings(max_examples=50)
@given(_rows(), _sorts(), st.data())
def test_the_condition_is_all_that_follows(
    table: Table, rows: list[dict[str, object]], text: str, data: st.DataObject
) -> None:
    """The keyset condition as one expression holds for exactly the rows behind the cursor."""
    table.fill(rows)
    sort = parse_sort(text, strategies.CONTACT)
    listing = f"select r.id, {sort.key()} as key from records r where {_WHERE} order by {sort.order_by()}"  # noqa: S608
    ordered = table.fetch(listing, TENANT)
    place = data.draw(st.integers(0, max(0, len(ordered) - 1)))
    for row in ordered[place : place + 1]:
        params: list[object] = [TENANT]
        after = sort.condition(sort.decode(sort.encode(row["key"], ""), ""), params)
        found = table.fetch(f"select r.id from records r where {_WHERE} and {after}", *params)  # noqa: S608
        assert {row["id"] for row in ordered[place + 1 :]} == {row["id"] for row in found}


def test_order_of_values(table: Table) -> None:
    """Nulls come last in both directions, texts go by code point, numbers by size, and ids decide."""
    values: list[object] = ["b", "a", None, "B", "é", "a"]
    table.fill([record(index, strategies.CONTACTS, {"name": value}) for index, value in enumerate(values)])
    ascending = _pages(table, parse_sort("name", strategies.CONTACT), 10)
    descending = _pages(table, parse_sort("-name", strategies.CONTACT), 10)
    assert [[identifier(index) for index in (3, 1, 5, 0, 4, 2)]] == ascending
    assert [[identifier(index) for index in (4, 0, 5, 1, 3, 2)]] == descending


def test_one_index_serves_both_directions_at_any_depth(table: Table) -> None:
    """A page behind a cursor is an index range, forwards and backwards, on one ordinary index."""
    rows = [record(index, strategies.CONTACTS, {"score": index % 50 or None}) for index in range(2000)]
    table.fill(rows)
    table.execute(f"create index by_score on records (tenant_id, ({_expression('score')}), id)")
    table.execute("analyze records")
    for text in ("score", "-score"):
        params: list[object] = [TENANT]
        sort = parse_sort(text, strategies.CONTACT)
        statement = sort.page("r.id", _WHERE, sort.decode(_cursor(sort), ""), 10, params)
        plan = "\n".join(str(line[0]) for line in table.fetch(f"explain analyze {statement}", *params))
        assert "Sort" not in plan
        assert "Seq Scan" not in plan
        assert "never executed" in plan
        assert "Rows Removed by Filter" not in plan
    table.execute("drop index by_score")


def _expression(name: str) -> str:
    return expression(strategies.CONTACT.fields[name], "records").replace("records.", "")


def _cursor(sort: Sort) -> str:
    return sort.encode(f'[25, "{identifier(100)}"]', "")


def test_every_fault_of_a_sort_is_told() -> None:
    """Unknown fields, fields without order and repetitions are reported together."""
    with pytest.raises(Invalid) as raised:
        parse_sort("-nope,tags,name,-name", strategies.CONTACT)
    assert [fault.code for fault in raised.value.errors] == ["unknown_field", "not_sortable", "duplicate_field"]


def test_a_sort_of_too_many_keys_is_refused() -> None:
    """More than five keys are an error."""
    with pytest.raises(Invalid) as raised:
        parse_sort("name,stage,score,active,born,met", strategies.CONTACT)
    assert [fault.code for fault in raised.value.errors] == ["too_many_keys"]


@pytest.mark.parametrize(
    ("key", "sort"),
    [
        ("[1]", "score"),
        ('["x", "00000000-0000-7000-8000-000000000001"]', "score"),
        ('[1, "no id"]', "score"),
        ("[1, null]", "score"),
        ("[true, 1]", "version"),
        ('[true, "00000000-0000-7000-8000-000000000001"]', "score"),
        ('["soon", "00000000-0000-7000-8000-000000000001"]', "created_at"),
        ("{}", "score"),
        ("", "score"),
        ("[NaN, 1]", "score"),
    ],
)
def test_a_cursor_of_the_wrong_shape_is_refused(key: str, sort: str) -> None:
    """Values that could not be bound never reach the database."""
    parsed = parse_sort(sort, strategies.CONTACT)
    with pytest.raises(Invalid) as raised:
        parsed.decode(parsed.encode(key, ""), "")
    assert [fault.code for fault in raised.value.errors] == ["invalid_cursor"]


@pytest.mark.parametrize("damage", ["", "x", "!!!", "é", "AAAAAAAAAAAA", "A" * 200_000])
def test_a_damaged_cursor_is_refused(damage: str) -> None:
    """What is not base64, too short or too long is an invalid cursor, not a crash."""
    with pytest.raises(Invalid):
        parse_sort("name", strategies.CONTACT).decode(damage, "")


def test_a_cursor_belongs_to_its_list() -> None:
    """A cursor used with another sort, another filter or another scope is refused."""
    sort, other = parse_sort("name", strategies.CONTACT), parse_sort("-name", strategies.CONTACT)
    node = parse_tree({"field": "name", "value": "a"}, strategies.CONTACT)
    cursor = sort.encode(f'["a", "{identifier(1)}"]', sort.binding(node, "pipeline"))
    assert sort.decode(cursor, sort.binding(node, "pipeline"))[0] == "a"
    for binding in (other.binding(node, "pipeline"), sort.binding(None, "pipeline"), sort.binding(node, "another")):
        with pytest.raises(Invalid):
            sort.decode(cursor, binding)

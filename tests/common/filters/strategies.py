"""Hypothesis strategies: a schema with every kind, records for it (also with values of wrong types), filters."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as st

from libs.common.filters import COLUMNS, Field, Kind, Schema, allowed, parse_tree
from libs.common.filters.operators import Shape, shape
from tests.common.filters.table import identifier, record

CONTACTS = UUID("00000000-0000-7000-8000-000000000001")
COMPANIES = UUID("00000000-0000-7000-8000-000000000002")

_company_fields: dict[str, Field] = {**COLUMNS}
COMPANY = Schema(_company_fields, pipeline_id=COMPANIES)
_company_fields |= {
    "name": Field("name", Kind.TEXT),
    "size": Field("size", Kind.NUMBER),
    "parent": Field("parent", Kind.RELATION, target=COMPANY),
}
CONTACT = Schema(
    {
        **COLUMNS,
        "name": Field("name", Kind.TEXT),
        "stage": Field("stage", Kind.TEXT, indexed=True),
        "score": Field("score", Kind.NUMBER),
        "rank": Field("rank", Kind.NUMBER, indexed=True),
        "active": Field("active", Kind.BOOLEAN),
        "born": Field("born", Kind.DATE),
        "met": Field("met", Kind.DATETIME),
        "tags": Field("tags", Kind.LIST),
        "extra": Field("extra", Kind.JSON),
        "owner": Field("owner", Kind.UUID),
        "took": Field("took", Kind.DURATION),
        "price": Field("price", Kind.JSON),
        "price.amount": Field("price.amount", Kind.NUMBER),
        "price.currency": Field("price.currency", Kind.TEXT),
        "company": Field("company", Kind.RELATION, target=COMPANY),
        "clients": Field("clients", Kind.RELATION, many=True, target=COMPANY),
    }
)
GUARD = parse_tree({"or": [{"field": "size", "op": "gte", "value": 2}, {"field": "name", "value": "a"}]}, COMPANY)
_guarded_fields: dict[str, Field] = {name: field for name, field in COMPANY.fields.items() if name != "size"}
GUARDED = Schema(_guarded_fields, guard=GUARD, pipeline_id=COMPANIES, guard_schema=COMPANY)
_guarded_fields["parent"] = Field("parent", Kind.RELATION, target=GUARDED)
RESTRICTED = Schema(
    {
        **CONTACT.fields,
        "company": Field("company", Kind.RELATION, target=GUARDED, indexed=True),
        "clients": Field("clients", Kind.RELATION, many=True, target=GUARDED),
    }
)

_characters = st.characters(exclude_characters="\0", codec="utf-8")
texts = st.one_of(
    st.sampled_from(["", "a", "A", "ab", "b", "ß", "SS", "İ", "i", "ς", "Σ", "%", "_", "\\", 'a"b', "\U0010ffff", "퟿"]),
    st.text(st.sampled_from("aAbß%_\\İσ"), max_size=4),
    st.text(_characters, max_size=3),
)
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0.1, 0.5, 1.5, 1e-7, 1e300, Decimal("0.1"), Decimal("12345678901234567890.123456789")]),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-3, max_value=3),
)
dates = st.sampled_from(
    ["2026-03-03", "2026-03-04", "2026-03-05", "2026-02-28", "2025-12-31", "0001-01-01", "9999-12-31"]
)
times = st.sampled_from(
    [
        "2026-03-04T05:06:07.008Z",
        "2026-03-04T05:06:07.007Z",
        "2026-03-04T00:00:00.000Z",
        "2026-03-03T23:59:59.999Z",
        "2026-02-25T05:06:07.008Z",
        "0001-01-01T00:00:00.000Z",
        "9999-12-31T23:59:59.999Z",
    ]
)
relative = st.one_of(
    st.sampled_from(["$now", "today", "yesterday", "tomorrow", "this_week", "last_month", "this_quarter", "next_year"]),
    st.builds(
        lambda sign, amount, unit: f"{sign}{amount}{unit}",
        st.sampled_from(["-", "+", ""]),
        st.sampled_from([0, 1, 7, 999_999]),
        st.sampled_from(["s", "min", "h", "d", "w", "mo", "y"]),
    ),
)
durations = st.sampled_from(["PT0S", "PT59.999S", "PT1M", "PT1H", "P1D", "P1DT0.5S", "P9999999D"])
prices = st.fixed_dictionaries({}, optional={"amount": numbers, "currency": st.sampled_from(["EUR", "USD"])})
companies = st.integers(101, 105).map(identifier)
users = st.integers(901, 903).map(identifier)
strange = st.sampled_from([None, 0, True, "a", "x" * 36, [], ["a", 1, None], {}, {"a": "b"}, ""])

_VALUES: dict[str, st.SearchStrategy[object]] = {
    "name": texts,
    "stage": texts,
    "score": numbers,
    "rank": numbers,
    "size": numbers,
    "active": st.booleans(),
    "born": dates,
    "met": times,
    "tags": st.lists(texts, max_size=3),
    "extra": strange,
    "owner": users,
    "took": durations | st.sampled_from(["PT", "P1Y", "PT60S", "PT99M", "PT1.S"]),
    "price": prices,
    "company": companies,
    "parent": companies,
    "clients": st.lists(companies, max_size=3),
}
_LITERALS: dict[Kind, st.SearchStrategy[object]] = {
    Kind.TEXT: texts | st.just("$user"),
    Kind.LIST: texts,
    Kind.NUMBER: numbers,
    Kind.BOOLEAN: st.booleans(),
    Kind.DATE: dates | relative,
    Kind.DATETIME: times | dates | relative,
    Kind.DURATION: durations | st.sampled_from(["PT60S", "PT24H", "P1W", 60, 0.5, "1"]),
    Kind.UUID: users | st.just("$user"),
    Kind.RELATION: companies,
}


def data(schema: Schema) -> st.SearchStrategy[dict[str, object]]:
    """Data of a record: mostly canonical, sometimes absent, null, or of another type than the schema says."""
    names = [name for name, field in schema.fields.items() if not field.column and "." not in name]
    return st.fixed_dictionaries({}, optional={name: _VALUES[name] | strange for name in names})


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, object]]:
    """Companies and contacts; some companies deleted, some in another pipeline than relations expect."""
    found = [
        record(
            101 + index,
            draw(st.sampled_from([COMPANIES, COMPANIES, CONTACTS])),
            draw(data(COMPANY)),
            deleted_at=draw(st.sampled_from([None, None, "2026-01-01T00:00:00.000Z"])),
        )
        for index in range(4)
    ]
    return [*found, *(_contact(draw, 1 + index) for index in range(draw(st.integers(1, 6))))]


def _contact(draw: st.DrawFn, number: int) -> dict[str, object]:
    return record(
        number,
        CONTACTS,
        draw(data(CONTACT)),
        version=draw(st.integers(1, 3)),
        title=draw(st.none() | texts),
        created_at=draw(times),
        created_by=draw(st.none() | users),
    )


def literal(field: Field) -> st.SearchStrategy[object]:
    """A value that comparisons with the field take."""
    return _LITERALS[field.kind]


def _value(draw: st.DrawFn, field: Field, form: Shape) -> object:
    match form:
        case Shape.FLAG:
            return draw(st.booleans())
        case Shape.TEXT:
            return draw(texts)
        case Shape.ONE:
            return draw(literal(field))
        case Shape.TWO:
            return draw(st.lists(literal(field), min_size=2, max_size=2))
        case Shape.MANY:
            return draw(st.lists(literal(field), max_size=4) | st.lists(literal(field), min_size=17, max_size=18))


@st.composite
def leaves(draw: st.DrawFn, schema: Schema) -> object:
    """A comparison, up to two relations away."""
    path, fields = [], schema.fields
    while True:
        field = fields[draw(st.sampled_from(sorted(fields)))]
        path.append(field.name)
        if field.target is None or len(path) == 3 or draw(st.booleans()):
            break
        fields = field.target.fields
    op = draw(st.sampled_from(allowed(field)))
    return {"field": ".".join(path), "op": op.value, "value": _value(draw, field, shape(op))}


@st.composite
def _related(draw: st.DrawFn, schema: Schema) -> object:
    field = schema.fields[draw(st.sampled_from(["company", "clients"]))]
    assert field.target is not None
    inner = draw(leaves(field.target) | st.just({}))
    word = draw(st.sampled_from(["some", "none"]))
    if draw(st.booleans()):
        return {"field": field.name, "op": word, "value": inner}
    return {word: {"field": field.name, "filter": inner}}


def _groups(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    several = st.lists(inner, max_size=3)
    make: list[tuple[str, st.SearchStrategy[object]]] = [("and", several), ("or", several), ("not", inner)]
    return st.one_of([parts.map(_under(key)) for key, parts in make])


def _under(key: str) -> Callable[[object], object]:
    return lambda value: {key: value}


def trees(schema: Schema) -> st.SearchStrategy[object]:
    """A filter tree of any shape."""
    return st.recursive(leaves(schema) | _related(schema), _groups, max_leaves=5)

from collections.abc import Iterator

import pytest

from libs.common.filters import LEAKPROOF, Field, Kind, Schema, expression, parse_tree, to_sql
from tests.common.filters import strategies
from tests.common.filters.table import NOW, TENANT, Table, identifier, record

pytestmark = pytest.mark.integration

_INDEXED = ["name", "stage", "score", "rank", "active", "born", "company", "owner", "price.amount"]


@pytest.fixture
def secured(table: Table) -> Iterator[Table]:
    """Two thousand records under forced row level security, with field indexes, as a role it holds for."""
    table.execute("begin")
    rows = [record(index, strategies.CONTACTS, _data(index)) for index in range(2000)]
    table.fill(rows)
    for name in _INDEXED:
        indexed = expression(strategies.CONTACT.fields[name], "records").replace("records.", "")
        table.execute(f"create index by_{name.replace('.', '_')} on records (tenant_id, pipeline_id, ({indexed}), id)")
    table.execute("create index by_data on records using gin (data jsonb_path_ops)")
    for function in LEAKPROOF:
        table.execute(f"alter function {function} leakproof")
    table.execute("alter table records enable row level security")
    table.execute("create policy tenants on records using (tenant_id = current_setting('app.tenant_id')::uuid)")
    table.execute("create role filters_reader; grant select on records to filters_reader; analyze records")
    table.execute(f"set local app.tenant_id = '{TENANT}'; set local role filters_reader")
    yield table
    table.execute("rollback")


def _data(number: int) -> dict[str, object]:
    return {
        "name": f"n{number}",
        "stage": f"s{number}",
        "score": number,
        "rank": number,
        "active": number == 7,
        "born": f"2026-01-{number % 28 + 1:02}",
        "met": f"2026-01-01T00:00:00.{number % 1000:03}Z",
        "tags": [f"t{number}"],
        "company": identifier(number + 1),
        "owner": identifier(number),
        "price": {"amount": number, "currency": "EUR"},
    }


@pytest.mark.parametrize(
    "leaf",
    [
        {"field": "name", "value": "n7"},
        {"field": "name", "op": "in", "value": ["n7", "n8"]},
        {"field": "name", "op": "in", "value": [f"n{index}" for index in range(30)]},
        {"field": "name", "op": "starts_with", "value": "n77"},
        {"field": "name", "op": "gt", "value": "n998"},
        {"field": "stage", "value": "s7"},
        {"field": "score", "value": 7},
        {"field": "score", "op": "gte", "value": 1990},
        {"field": "rank", "value": 7},
        {"field": "active", "value": True},
        {"field": "born", "op": "lt", "value": "2026-01-02"},
        {"field": "tags", "op": "has_any", "value": ["t7", "t8"]},
        {"field": "tags", "op": "has_all", "value": ["t7"]},
        {"field": "company", "value": identifier(8)},
        {"field": "company.name", "value": "n8"},
        {"field": "owner", "value": "$user"},
        {"field": "price.amount", "op": "gte", "value": 1990},
        {"field": "price.amount", "value": 7},
        {"field": "id", "value": identifier(7)},
    ],
    ids=str,
)
def test_filters_are_index_work_under_row_level_security(secured: Table, leaf: dict[str, object]) -> None:
    """A filter on an indexed field finds its records in an index, as a role that row level security holds for."""
    schema = strategies.CONTACT
    if leaf["field"] == "company.name":
        schema = Schema({"company": Field("company", Kind.RELATION, target=schema)})
    params: list[object] = [TENANT, strategies.CONTACTS]
    condition = to_sql(parse_tree(leaf, schema), schema, params, NOW)
    statement = f"select id from records r where tenant_id = $1 and pipeline_id = $2 and {condition}"  # noqa: S608
    plan = "\n".join(str(row[0]) for row in secured.fetch(f"explain analyze {statement}", *params))
    removed = [int(line.rpartition(":")[2]) for line in plan.splitlines() if "Rows Removed" in line]
    assert "Seq Scan" not in plan
    assert sum(removed) == 0, plan

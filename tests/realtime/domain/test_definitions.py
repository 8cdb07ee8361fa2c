"""What realtime makes of fields, compared with records."""

from typing import Any

import pytest

from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.realtime.domain import definitions
from services.realtime.domain.definitions import Definition, FieldDefinition
from services.realtime.domain.sight import compile_sight
from services.records.domain import pipelines

Json = dict[str, Any]


def test_fields_mean_the_same_as_in_records() -> None:
    """Each type of field is the same kind of value to filters in both services, and so are the parts of values."""
    assert dict(pipelines.KINDS) == definitions.KINDS
    assert {name: dict(parts) for name, parts in pipelines.PARTS.items()} == definitions.PARTS


@pytest.mark.parametrize(
    ("tree", "shown"),
    [
        ({"field": "price.amount", "op": "gte", "value": 10}, True),
        ({"field": "price.amount", "op": "gt", "value": 12.5}, False),
        ({"field": "home.city", "op": "eq", "value": "Berlin"}, True),
        ({"field": "home.city", "op": "eq", "value": "Bonn"}, False),
    ],
)
def test_rules_speak_of_parts_of_values(tree: Json, shown: bool) -> None:
    """A rule on a part of a value is judged here, and needs no question to records."""
    fields = (FieldDefinition("price", "currency"), FieldDefinition("home", "address"))
    definition = Definition(new_id(), 1, fields)
    sight = compile_sight([Grant("records", ("read",), row_rule=tree)], definition, "")
    record = {"data": {"price": {"amount": 12.5, "currency": "EUR"}, "home": {"city": "Berlin"}}}
    assert (sight.asks, sight.of(record) is not None) == (False, shown)

"""What realtime makes of fields, compared with records."""

from typing import Any
from uuid import UUID

import pytest

from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.realtime.domain import definitions
from services.realtime.domain.definitions import Definition, FieldDefinition, Move, Pending
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


def test_a_role_may_call_a_field_as_it_was_called() -> None:
    """While a rename is under way a grant of the pipeline is read by the new name; a name that is another field's by
    now, and a grant of all pipelines, are taken as they stand.
    """
    place = new_id()

    def seen(*steps: dict[str, str], field: str = "a", pipeline_id: UUID | None = place) -> frozenset[str] | None:
        pending = tuple(Pending(new_id(), tuple(Move(*names) for names in step.items())) for step in steps)
        fields = tuple(FieldDefinition(name, "number") for name in ("b", "c"))
        grant = Grant("records", ("read",), pipeline_id, {"field": field, "value": 1}, frozenset({field}))
        sight = compile_sight([grant], Definition(place, 1, fields, pending=pending), str(new_id()))
        mask = sight.of({"data": {"b": 1, "c": 2}})
        return None if mask is None else mask.fields

    assert seen({"a": "b"}) == seen({"a": "x"}, {"x": "b"}) == {"b"}
    assert seen({"a": "b"}, pipeline_id=None) is None
    assert seen({"b": "c", "c": "b"}, field="b") == {"b"}
    assert seen({"a": "b@2"}) is seen({"a": "gone"}) is None

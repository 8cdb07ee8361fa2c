"""What two definitions differ in, and what that asks of records."""

from typing import Any

import msgspec
import pytest

from libs.common.errors import Conflict
from libs.common.filters.renaming import renamed_condition
from libs.common.ids import new_id
from services.pipelines.domain.definitions import read_field
from services.pipelines.domain.evolution import (
    By,
    Move,
    Step,
    check_free,
    claims_after,
    convertible,
    demanded,
    differences,
)
from services.pipelines.domain.fields import AnyField

BY = By(new_id(), "user", "Test")


def field(name: str, kind: str = "text", **options: Any) -> AnyField:
    """A field, completed."""
    found, faults = read_field({"name": name, "type": kind, **options}, "")
    assert found is not None, faults
    return found


OLD = field("a"), field("b", "number"), field("c", "text", unique=True), field("d", "select", options=[{"value": "x"}])


def kinds(step: Step) -> set[tuple[str, str, str]]:
    """The differences in short."""
    return {(it.field, it.kind, it.effect) for it in differences(OLD, step)}


def test_each_difference_has_its_kind() -> None:
    """Fields that come, go, are renamed or differ in type, options, bounds and marks are told apart."""
    fields = (
        field("z"), field("b", "text", required=True, indexed=True), field("k", "text", unique=True, max_length=9),
        field("d", "select", options=[{"value": "y"}], label="D!"),
    )  # fmt: skip
    assert kinds(Step(fields=fields, renames={"c": "k"})) == {
        ("a", "field_removed", "none"), ("z", "field_added", "none"), ("b", "type_changed", "convert"),
        ("b", "made_required", "fill"), ("b", "made_indexed", "none"), ("b", "made_searchable", "none"),
        ("k", "field_renamed", "none"), ("k", "constraint_changed", "keep"), ("d", "options_changed", "keep"),
        ("d", "described_differently", "none"),
    }  # fmt: skip


def test_records_are_asked_for_what_concerns_them() -> None:
    """Values move, are converted, filled in and claimed; claims that still hold keep their name."""
    fields = field("b", "text", unique=True), field("k", "text", unique=True), OLD[3]
    step = Step(fields=fields, renames={"c": "k"})
    asked = demanded(OLD, step, 8, new_id(), BY)
    assert asked.moves == (Move("a", "a@8"), Move("c", "k"))
    assert (asked.converts, asked.fills, asked.claims) == (("b",), (), ("b",))
    assert claims_after(OLD, step, {}, 8) == {"b": "b@8", "k": "c"}


def test_a_job_at_work_is_not_crossed() -> None:
    """While values of a field move, are converted or claimed, nothing else is asked of records but to let others go."""
    asked = demanded(OLD, Step(fields=(field("a", "number"), *OLD[1:])), 2, new_id(), BY)
    removing = Step(fields=OLD[:3])
    check_free((asked,), differences(OLD, removing), demanded(OLD, removing, 3, new_id(), BY))
    for step in (Step(fields=OLD[1:]), Step(fields=OLD, renames={}), Step(fields=(*OLD[:1], field("b"), *OLD[2:]))):
        crossing = differences(OLD, step)
        if crossing:
            with pytest.raises(Conflict):
                check_free((asked,), crossing, demanded(OLD, step, 3, new_id(), BY))


def test_only_some_types_become_others() -> None:
    """Relations, users and amounts stay what they are."""
    assert convertible(field("x"), field("x", "number"))
    assert not convertible(field("x"), field("x", "currency"))
    assert not convertible(field("x", "user"), field("x", "user", multiple=True))


def test_conditions_follow_a_new_name() -> None:
    """Groups, paths and relations are renamed at their first step; what is said of other records is not."""
    some = {"some": {"field": "a", "filter": {"field": "a", "op": "eq", "value": "a"}}}
    none = {"field": "a", "op": "none", "value": {"field": "a", "op": "eq", "value": "a"}}
    when = {"and": [{"field": "a.b", "op": "eq", "value": "a"}, {"not": some}, none]}
    found = renamed_condition(when, {"a": "z"})
    assert msgspec.json.decode(msgspec.json.encode(found)) == {
        "and": [
            {"field": "z.b", "op": "eq", "value": "a"},
            {"not": {"some": {"field": "z", "filter": {"field": "a", "op": "eq", "value": "a"}}}},
            {**none, "field": "z"},
        ]
    }

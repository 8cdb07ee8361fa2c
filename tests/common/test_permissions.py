import msgspec
import pytest

from libs.common.errors import Forbidden
from libs.common.ids import new_id
from libs.common.permissions import Grant, Permissions

ONE, OTHER = new_id(), new_id()


def test_nothing_is_allowed_by_default() -> None:
    """Without grants everything is denied, and the refusal names what was wanted."""
    with pytest.raises(Forbidden, match="'read' on 'records'"):
        Permissions([]).require("read", "records")


def test_a_grant_for_a_pipeline_is_for_it_alone() -> None:
    """It covers neither another pipeline nor the resource as a whole."""
    permissions = Permissions([Grant("records", ("read",), pipeline_id=ONE)])
    answers = [permissions.allow("read", "records", scope) for scope in (ONE, OTHER, None)]
    assert answers == [True, False, False]


def test_a_grant_for_all_covers_each() -> None:
    """A grant that names no pipeline covers every one, but only its actions and its resource."""
    permissions = Permissions([Grant("records", ("read", "update"))])
    assert permissions.allow("update", "records", ONE)
    assert not permissions.allow("delete", "records", ONE)
    assert not permissions.allow("read", "pipelines", ONE)


def test_the_star_covers_all() -> None:
    """A star stands for every resource and for every action."""
    assert Permissions([Grant("*", ("*",))]).allow("manage", "anything", ONE)


def test_alternatives_are_all_grants_that_cover() -> None:
    """Any one of the grants suffices, so all are handed on, also when asked again."""
    ruled, free = Grant("records", ("read",), row_rule={"field": "a"}), Grant("*", ("read",), pipeline_id=ONE)
    permissions = Permissions([ruled, free])
    assert permissions.alternatives("read", "records", ONE) == (ruled, free)
    assert permissions.alternatives("read", "records", ONE) == (ruled, free)
    assert permissions.alternatives("read", "records", OTHER) == (ruled,)


def test_a_grant_survives_the_wire() -> None:
    """Every part of a grant comes back out of JSON."""
    grant = Grant("records", ("read",), ONE, {"or": []}, frozenset({"a"}), frozenset(), {"stage": "new"})
    assert msgspec.json.decode(msgspec.json.encode(grant), type=Grant) == grant

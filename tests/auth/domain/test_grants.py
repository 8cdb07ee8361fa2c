"""What covers what: nobody gives what they do not have."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.permissions import Grant, Permissions
from services.auth.domain import grants

ONE, TWO = UUID(int=1), UUID(int=2)
RULE = {"field": "owner", "op": "eq", "value": "$user"}

GRANTS = st.builds(
    Grant,
    st.sampled_from(["records", "pipelines", "*"]),
    st.lists(st.sampled_from(["read", "update", "*"]), min_size=1, max_size=3).map(tuple),
    st.sampled_from([None, ONE, TWO]),
    st.sampled_from([None, RULE]),
    st.none() | st.frozensets(st.sampled_from("abc")),
    st.none() | st.frozensets(st.sampled_from("abc")),
)


@pytest.mark.parametrize(
    ("held", "given_", "covered"),
    [
        (Grant("*", ("*",)), Grant("records", ("delete",), ONE), True),
        (Grant("records", ("*",)), Grant("*", ("read",)), False),
        (Grant("records", ("read",)), Grant("records", ("*",)), False),
        (Grant("records", ("read",), ONE), Grant("records", ("read",)), False),
        (Grant("records", ("read",), ONE), Grant("records", ("read",), TWO), False),
        (Grant("records", ("read",)), Grant("records", ("read",), ONE, RULE), True),
        (Grant("records", ("read",), None, RULE), Grant("records", ("read",)), False),
        (Grant("records", ("read",), None, RULE), Grant("records", ("read",), None, RULE), True),
        (Grant("records", ("read",), readable_fields=frozenset("ab")), Grant("records", ("read",)), False),
        (
            Grant("records", ("read",), readable_fields=frozenset("ab")),
            Grant("records", ("read",), readable_fields=frozenset("a")),
            True,
        ),
    ],
)
def test_a_grant_is_covered_by_one_that_is_as_wide(held: Grant, given_: Grant, covered: bool) -> None:
    """In resource, action, pipeline, rows and fields."""
    assert grants.covered(Permissions([held]), given_) is covered


@given(st.lists(GRANTS, max_size=4), GRANTS)
def test_what_is_covered_allows_nothing_new(held: list[Grant], given_: Grant) -> None:
    """Whatever a covered grant allows somewhere, its giver was allowed there before."""
    holder = Permissions(held)
    if not grants.covered(holder, given_):
        return
    gift = Permissions([given_])
    for action in ("read", "update", "delete"):
        for resource in ("records", "pipelines", "users"):
            for pipeline in (None, ONE, TWO):
                if gift.allow(action, resource, pipeline):
                    assert holder.allow(action, resource, pipeline)


@given(st.lists(GRANTS, min_size=1, max_size=4))
def test_everyone_may_give_what_they_have(held: list[Grant]) -> None:
    """A copy of one's own grant is covered."""
    assert all(grants.covered(Permissions(held), grant) for grant in held)

from uuid import UUID

import pytest

from libs.common import pages
from libs.common.errors import Invalid
from libs.common.ids import NIL, new_id


def page(ids: list[UUID], limit: int) -> pages.Page[str]:
    """A page of a list of ids."""
    return pages.by_id(ids, limit, lambda row: row, str)


def test_a_cursor_goes_on_after_the_last_item() -> None:
    """With more rows than the limit there is a cursor, which is the id of the last one shown."""
    ids = [new_id() for _ in range(3)]
    first = page(ids, 2)
    assert first.items == [str(ids[0]), str(ids[1])]
    assert pages.after_id(first.next_cursor) == ids[1]


def test_the_last_page_has_no_cursor() -> None:
    """As many rows as the limit, or none, are the end."""
    assert page([new_id()], 1).next_cursor is None
    assert page([], 1).items == []
    assert pages.after_id(None) == NIL


@pytest.mark.parametrize("cursor", ["", "!", "AAAA", "x" * 1000, "ä", "AAAAAAAAAAAAAAAAAAAAAA=="])
def test_a_foreign_cursor_is_a_fault(cursor: str) -> None:
    """What is no cursor of ours is 422; one with its padding back is ours."""
    if cursor.startswith("AAAAAAAAAA"):
        assert pages.after_id(cursor) == NIL
        return
    with pytest.raises(Invalid):
        pages.after_id(cursor)


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_limit_is_not_clamped(limit: int) -> None:
    """Outside 1 to 200 is an error."""
    with pytest.raises(Invalid):
        pages.check_limit(limit)
    assert pages.check_limit(200) == 200

"""Tables to take away: what a spreadsheet would take for a formula."""

import pytest

from services.records.domain.sheets import harmless


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        (" =x", "' =x"),
        ("\tx", "'\tx"),
        ("\uff1dx", "'\uff1dx"),
        ("a;=cmd()", "a;'=cmd()"),
        ("a; @x;-y", "a;' @x;'-y"),
        ("x\t+x", "x\t'+x"),
        ("x\n-x", "x\n'-x"),
        ("-5", "-5"),
        ("+49 30 1", "+49 30 1"),
        ("1;-2;+3", "1;-2;+3"),
        ("a-b;c=d", "a-b;c=d"),
        (-5, -5),
        (None, None),
    ],
)
def test_no_cell_begins_a_formula(cell: str | int | None, shown: str | int | None) -> None:
    """Text that looks like one gets an apostrophe, also where `;`, a tab or a line end begins a cell; numbers stay."""
    assert harmless(cell) == shown

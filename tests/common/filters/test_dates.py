from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from libs.common.filters import Context, Kind
from libs.common.filters.dates import canonical, is_relative, span, window

_NOW = Context(datetime(2026, 3, 4, 5, 6, 7, 8900, UTC))
_NEW_YORK = Context(datetime(2026, 3, 9, 3, 30, tzinfo=UTC), tz=ZoneInfo("America/New_York"))


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("2026-01-31", "2026-01-31", "2026-01-31"),
        ("$now", "2026-03-04", "2026-03-04"),
        ("today", "2026-03-04", "2026-03-04"),
        ("yesterday", "2026-03-03", "2026-03-03"),
        ("tomorrow", "2026-03-05", "2026-03-05"),
        ("this_week", "2026-03-02", "2026-03-08"),
        ("last_week", "2026-02-23", "2026-03-01"),
        ("next_month", "2026-04-01", "2026-04-30"),
        ("last_month", "2026-02-01", "2026-02-28"),
        ("this_quarter", "2026-01-01", "2026-03-31"),
        ("last_quarter", "2025-10-01", "2025-12-31"),
        ("next_year", "2027-01-01", "2027-12-31"),
        ("-7d", "2026-02-25", "2026-02-25"),
        ("+2w", "2026-03-18", "2026-03-18"),
        ("-6h", "2026-03-03", "2026-03-03"),
        ("1mo", "2026-04-04", "2026-04-04"),
        ("-999999y", "0001-01-01", "0001-01-01"),
        ("999999d", "4764-01-29", "4764-01-29"),
        ("+999999w", "9999-12-31", "9999-12-31"),
    ],
)
def test_days(value: str, first: str, last: str) -> None:
    """What each value means to a date field, on Wednesday the 4th of March 2026."""
    assert span(value, Kind.DATE, _NOW) == (first, last)


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("$now", "2026-03-09T03:30:00.000Z", "2026-03-09T03:30:00.000Z"),
        ("today", "2026-03-08T05:00:00.000Z", "2026-03-09T03:59:59.999Z"),
        ("2026-03-08", "2026-03-08T05:00:00.000Z", "2026-03-09T03:59:59.999Z"),
        ("-1d", "2026-03-08T04:30:00.000Z", "2026-03-08T04:30:00.000Z"),
        ("-24h", "2026-03-08T03:30:00.000Z", "2026-03-08T03:30:00.000Z"),
        ("this_month", "2026-03-01T05:00:00.000Z", "2026-04-01T03:59:59.999Z"),
        ("9999-12-31", "9999-12-31T05:00:00.000Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_moments_follow_the_zone(value: str, first: str, last: str) -> None:
    """Days begin at the zone's midnight, also on the 23-hour day clocks change; hours are elapsed time."""
    assert span(value, Kind.DATETIME, _NEW_YORK) == (first, last)


def test_months_end_where_they_end() -> None:
    """A month after the 31st is the next month's last day, and a year after the 29th of February the 28th."""
    january = Context(datetime(2026, 1, 31, tzinfo=UTC))
    leap = Context(datetime(2028, 2, 29, tzinfo=UTC))
    assert span("1mo", Kind.DATE, january)[0] == "2026-02-28"
    assert span("1y", Kind.DATE, leap)[0] == "2029-02-28"


def test_within_an_offset_reaches_to_now() -> None:
    """`within` spans from the offset to now, or from now to it; a period is itself."""
    assert window("-7d", Kind.DATE, _NOW) == ("2026-02-25", "2026-03-04")
    assert window("7d", Kind.DATE, _NOW) == ("2026-03-04", "2026-03-11")
    assert window("this_year", Kind.DATE, _NOW) == ("2026-01-01", "2026-12-31")
    assert window("-1h", Kind.DATETIME, _NOW) == ("2026-03-04T04:06:07.008Z", "2026-03-04T05:06:07.008Z")


@pytest.mark.parametrize("context", [_NOW, _NEW_YORK, Context(_NOW.now, tz=ZoneInfo("Pacific/Kiritimati"))])
@pytest.mark.parametrize(
    "value", ["0001-01-01", "9999-12-31", "-999999y", "+999999y", "-999999w", "+999999w", "-999999h"]
)
def test_the_ends_of_time_are_no_error(context: Context, value: str) -> None:
    """What falls out of the calendar stops at its ends, in any zone."""
    for kind in (Kind.DATE, Kind.DATETIME):
        first, last = span(value, kind, context)
        assert first <= last


def test_canonical_forms() -> None:
    """Times are kept in UTC with milliseconds, relative values as they are, anything else is no value."""
    assert canonical("2026-01-01T01:00:00.123456+01:00", Kind.DATETIME) == "2026-01-01T00:00:00.123Z"
    assert canonical("2026-01-01t00:00z", Kind.DATETIME) == "2026-01-01T00:00:00.000Z"
    assert canonical(" 7d", Kind.DATETIME) == "7d"
    assert canonical("2026-01-01T01:00:00Z", Kind.DATE) is None
    assert canonical("2026-1-1", Kind.DATE) is None
    assert [is_relative(text) for text in ("today", "-7d", "2026-01-01", "week", "$user")] == [True, True] + [False] * 3

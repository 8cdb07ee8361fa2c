from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from libs.common.clock import FIRST, LAST, rfc3339, utc


def test_times_have_milliseconds_in_utc() -> None:
    """Another zone is turned into UTC, and microseconds are cut off."""
    east = timezone(timedelta(hours=2))
    assert rfc3339(datetime(2026, 1, 31, 1, 2, 3, 999999, east)) == "2026-01-30T23:02:03.999Z"
    assert rfc3339(datetime(33, 1, 1, tzinfo=UTC)) == "0033-01-01T00:00:00.000Z"


def test_what_lies_beyond_all_years_is_the_first_or_last_moment() -> None:
    """Times of day of other zones may lie before the year 1 or after the year 9999 in UTC."""
    assert utc(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))) == FIRST
    assert utc(datetime.max.replace(tzinfo=timezone(timedelta(hours=-14)))) == LAST


@given(*[st.datetimes(timezones=st.just(UTC))] * 2)
def test_text_order_is_time_order(a: datetime, b: datetime) -> None:
    """Sorting the texts sorts the times, to the millisecond."""
    assert (rfc3339(a) <= rfc3339(b)) or (a > b)

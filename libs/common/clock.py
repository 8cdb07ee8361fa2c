"""Time as the platform tells it: UTC, RFC 3339 with milliseconds."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999000, UTC)


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The time zone of that name; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; the first or the last that there is, where it lies before or after these."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return LAST if moment.year > 1 else FIRST


@lru_cache(maxsize=256)
def rfc3339(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000Z`: UTC, always milliseconds, so that text order is time order."""
    utc = moment.astimezone(UTC)
    return f"{utc.year:04}-{utc:%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z"

"""What a dashboard shows, and how days become weeks and months."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid

MAX_DAYS = 3660
WON = "won"
"""The stage that counts as won."""

Interval: TypeAlias = Literal["day", "week", "month"]


class StageCount(msgspec.Struct, frozen=True):
    """How many records are in a stage; null is none."""

    value: str | None
    count: int


class StageCounts(msgspec.Struct, frozen=True):
    """The records of a pipeline by one of its stage fields."""

    field: str
    stages: list[StageCount]


class PipelineCounts(msgspec.Struct, frozen=True):
    """How many records there are that may be seen. Where not all may be, `complete` says whether all were looked at."""

    id: UUID
    name: str
    count: int
    by_stage: list[StageCounts]
    complete: bool


class PeriodCount(msgspec.Struct, frozen=True):
    """How many in a period, which begins on this day (UTC)."""

    period: str
    count: int


class Activity(msgspec.Struct, frozen=True):
    """What somebody did; without a name it is nobody who is a user now."""

    user_id: UUID
    name: str | None
    created: int = 0
    updated: int = 0
    deleted: int = 0
    restored: int = 0


class Dashboard(msgspec.Struct, frozen=True):
    """Counts of what the caller may see, from the first to the last day of `time_zone` (both included).

    Days are counted as records are written, for every organization alike, so they are always those of UTC. `created`
    are live records by when they were made, `won` how often records entered the stage `won`.
    """

    since: str
    until: str
    time_zone: Literal["UTC"]
    interval: Interval
    pipelines: list[PipelineCounts]
    created: list[PeriodCount]
    won: list[PeriodCount]
    activity: list[Activity]


class Period(msgspec.Struct, frozen=True):
    """The days that a dashboard is of."""

    since: date
    until: date
    interval: Interval


def period(since: date | None, until: date | None, interval: Interval, today: date) -> Period:
    """The days asked for, by default the last thirty."""
    last = until or today
    first = since or (last - timedelta(days=29) if last > date.min + timedelta(days=29) else date.min)
    if not 0 <= (last - first).days < MAX_DAYS:
        raise Invalid(errors=[Fault("/since", "out_of_range", f"1 to {MAX_DAYS} days are counted")])
    return Period(first, last, interval)


def periods(days: Iterable[tuple[date, int]], interval: Interval) -> list[PeriodCount]:
    """Counts by day as counts by period, in order; periods of which nothing is told are left out."""
    found: dict[date, int] = defaultdict(int)
    for day, amount in days:
        found[_begin(day, interval)] += amount
    return [PeriodCount(day.isoformat(), amount) for day, amount in sorted(found.items()) if amount]


def _begin(day: date, interval: Interval) -> date:
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day

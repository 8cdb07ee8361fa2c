"""Counting and summing: which metrics over which fields, grouped by which."""

import re
from functools import cache
from zoneinfo import available_timezones

import msgspec

from libs.common import filters
from libs.common.errors import Fault, Invalid
from libs.common.filters import Kind, Schema

MAX_METRICS = 20
MAX_GROUPS = 3
UNITS = ("day", "week", "month", "quarter", "year")

_METRIC = re.compile(r"(count|(sum|avg|min|max|p50|p95|p99):([a-z][a-z0-9_]{0,62}(?:\.[a-z0-9_]{1,63})?))")
_DAY = "^(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}"
_GROUPABLE = frozenset(Kind) - {Kind.JSON, Kind.LIST}
_NUMERIC = {"sum": "sum({})", "avg": "avg({})"} | {
    f"p{percent}": f"percentile_cont(0.{percent}) within group (order by ({{}})::double precision)"
    for percent in (50, 95, 99)
}
_ORDERED = {"min": "min({})", "max": "max({})"}
_OF_FIELDS = ", ".join((*_NUMERIC, *_ORDERED))


class Metric(msgspec.Struct, frozen=True):
    """A metric under its name in the answer; `field` is null for the count."""

    name: str
    function: str
    field: filters.Field | None = None

    def sql(self) -> str:
        """The metric as SQL, over the alias `r`."""
        if self.field is None:
            return "count(1)"
        pattern = _NUMERIC.get(self.function) or _ORDERED[self.function]
        return pattern.format(filters.expression(self.field))


class Group(msgspec.Struct, frozen=True):
    """What records are grouped by: the values of a field, or the days, weeks or months that its times fall into."""

    field: filters.Field
    unit: str | None = None

    @property
    def name(self) -> str:
        """The name in the answer, as it was asked for."""
        return self.field.name if self.unit is None else f"{self.field.name}:{self.unit}"

    def sql(self, zone: str) -> str:
        """The group as SQL, over the alias `r`; `zone` is the parameter that names the time zone."""
        value = filters.expression(self.field)
        if self.unit is None:
            return value
        if self.field.stored_kind is Kind.DATE:
            moment = f"(case when {value} ~ '{_DAY}$' then ({value})::date end)::timestamp"
        elif self.field.column:
            moment = f"{value} at time zone {zone}"
        else:
            moment = f"(case when {value} ~ '{_DAY}T' then ({value})::timestamptz end) at time zone {zone}"
        return f"to_char(date_trunc('{self.unit}', {moment}), 'YYYY-MM-DD')"


class Aggregation(msgspec.Struct, frozen=True):
    """What is asked of a list as a whole."""

    groups: tuple[Group, ...]
    metrics: tuple[Metric, ...]

    @property
    def fields(self) -> frozenset[str]:
        """The fields that are looked at."""
        measured = (metric.field for metric in self.metrics if metric.field)
        return frozenset(field.name for field in (*(group.field for group in self.groups), *measured))

    @property
    def timed(self) -> bool:
        """Whether records are grouped by time."""
        return any(group.unit for group in self.groups)

    @property
    def zoned(self) -> bool:
        """Whether groups depend on a time zone; those of dates do not."""
        return any(group.unit and group.field.stored_kind is not Kind.DATE for group in self.groups)


def parse_aggregation(group_by: str | None, metrics: str, schema: Schema) -> Aggregation:
    """The aggregation of `group_by=stage,won_at:month&metrics=count,sum:amount`; raises Invalid with every fault."""
    faults: list[Fault] = []
    names = _parts(group_by or "")
    found = [_metric(text, schema, faults) for text in _parts(metrics)]
    groups = [_group(name, schema, faults) for name in names]
    if not 0 < len(found) <= MAX_METRICS:
        faults.append(Fault("/metrics", "out_of_range", f"1 to {MAX_METRICS} metrics are taken"))
    if len(groups) > MAX_GROUPS:
        faults.append(Fault("/group_by", "too_many", f"At most {MAX_GROUPS} fields are grouped by"))
    if faults:
        raise Invalid(errors=faults)
    return Aggregation(tuple(g for g in groups if g), tuple(m for m in found if m))


def _parts(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _group(text: str, schema: Schema, faults: list[Fault]) -> Group | None:
    name, separated, unit = text.partition(":")
    field = schema.fields.get(name)
    if field is None:
        faults.append(Fault("/group_by", "unknown_field", f"There is no field '{name}'"))
        return None
    if field.stored_kind not in _GROUPABLE:
        faults.append(Fault("/group_by", "not_groupable", f"'{name}' cannot be grouped by"))
    elif separated and (unit not in UNITS or field.stored_kind not in (Kind.DATE, Kind.DATETIME)):
        faults.append(Fault("/group_by", "unknown_unit", f"'{text}' is not a time by {', '.join(UNITS)}"))
    return Group(field, unit or None)


def check_zone(name: str | None) -> None:
    """Raises Invalid unless it is a time zone."""
    if name is not None and name not in _zones():
        detail = "A time zone such as 'Europe/Berlin' is expected"
        raise Invalid(errors=[Fault("/time_zone", "invalid_time_zone", detail)])


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _metric(text: str, schema: Schema, faults: list[Fault]) -> Metric | None:
    """The metric; one of a currency is that of its amounts, whatever their currency."""
    match = _METRIC.fullmatch(text)
    if match is None:
        detail = f"'{text}' is not count, or one of {_OF_FIELDS} and a field: sum:amount"
        faults.append(Fault("/metrics", "unknown_metric", detail))
        return None
    if match[2] is None:
        return Metric("count", "count")
    field = schema.fields.get(f"{match[3]}.amount") or schema.fields.get(match[3])
    if field is None:
        faults.append(Fault("/metrics", "unknown_field", f"There is no field '{match[3]}'"))
    elif not _measurable(match[2], field):
        faults.append(Fault("/metrics", "not_a_number", f"'{match[2]}' of '{match[3]}' has no meaning"))
    return Metric(text, match[2], field)


def _measurable(function: str, field: filters.Field) -> bool:
    if function in _ORDERED:
        return field.stored_kind in (Kind.NUMBER, Kind.DATE, Kind.DATETIME, Kind.TEXT)
    return field.stored_kind is Kind.NUMBER

"""Counting and summing: which metrics over which fields, grouped by which."""

import re

import msgspec

from libs.common import filters
from libs.common.errors import Fault, Invalid
from libs.common.filters import Kind, Schema

MAX_METRICS = 20
MAX_GROUPS = 3

_METRIC = re.compile(r"(count|(sum|avg|min|max|p50|p95|p99):([a-z][a-z0-9_]{0,62}))")
_GROUPABLE = frozenset(Kind) - {Kind.JSON, Kind.LIST}
_NUMERIC = {"sum": "sum({})", "avg": "avg({})"} | {
    f"p{percent}": f"percentile_cont(0.{percent}) within group (order by ({{}})::double precision)"
    for percent in (50, 95, 99)
}
_ORDERED = {"min": "min({})", "max": "max({})"}


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


class Aggregation(msgspec.Struct, frozen=True):
    """What is asked of a list as a whole."""

    groups: tuple[filters.Field, ...]
    metrics: tuple[Metric, ...]

    @property
    def fields(self) -> frozenset[str]:
        """The fields that are looked at."""
        measured = (metric.field for metric in self.metrics if metric.field)
        return frozenset(field.name for field in (*self.groups, *measured))


def parse_aggregation(group_by: str | None, metrics: str, schema: Schema) -> Aggregation:
    """The aggregation of `group_by=stage&metrics=count,sum:amount`; raises Invalid with every fault."""
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


def _group(name: str, schema: Schema, faults: list[Fault]) -> filters.Field | None:
    field = schema.fields.get(name)
    if field is None:
        faults.append(Fault("/group_by", "unknown_field", f"There is no field '{name}'"))
    elif field.stored_kind not in _GROUPABLE:
        faults.append(Fault("/group_by", "not_groupable", f"'{name}' cannot be grouped by"))
    return field


def _metric(text: str, schema: Schema, faults: list[Fault]) -> Metric | None:
    match = _METRIC.fullmatch(text)
    if match is None:
        faults.append(
            Fault("/metrics", "unknown_metric", f"'{text}' is not count or sum, avg, min, max, p95 of a field")
        )
        return None
    if match[2] is None:
        return Metric("count", "count")
    field = schema.fields.get(match[3])
    if field is None:
        faults.append(Fault("/metrics", "unknown_field", f"There is no field '{match[3]}'"))
    elif not _measurable(match[2], field):
        faults.append(Fault("/metrics", "not_a_number", f"'{match[2]}' of '{match[3]}' has no meaning"))
    return Metric(text, match[2], field)


def _measurable(function: str, field: filters.Field) -> bool:
    if function in _ORDERED:
        return field.stored_kind in (Kind.NUMBER, Kind.DATE, Kind.DATETIME, Kind.TEXT)
    return field.stored_kind is Kind.NUMBER

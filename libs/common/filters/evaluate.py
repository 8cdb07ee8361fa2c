"""A filter judged in Python, on a record as the API and the events show it.

`compile` resolves a filter once and gives a function; use it wherever a filter is judged more than once. Numbers
are compared exactly: decode records with `float_hook=decimal.Decimal` where more than 15 digits matter.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from libs.common.clock import rfc3339
from libs.common.filters import durations
from libs.common.filters.folding import fold
from libs.common.filters.lowering import (
    All,
    Either,
    Equal,
    Filled,
    Has,
    Opposite,
    Present,
    Range,
    Reach,
    Search,
    Test,
    lower,
)
from libs.common.filters.schema import Context, Field, Kind, Schema
from libs.common.filters.syntax import Node

Record = Mapping[str, object]
Related = Callable[[str], Record | None]
Predicate = Callable[[Record, Related], bool]
Read = Callable[[Record], object]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def evaluate(node: Node, record: Record, schema: Schema, context: Context, related: Related) -> bool:
    """Whether the record passes. `related` gives the live record of an id, or None."""
    return compile(node, schema, context)(record, related)


def compile(node: Node, schema: Schema, context: Context) -> Predicate:  # noqa: A001 - as in re.compile
    """The filter as a function of a record; what it says of now is fixed (see `is_relative`)."""
    return _predicate(lower(node, schema, context))


def _predicate(test: Test) -> Predicate:
    match test:
        case All(parts):
            return _all([_predicate(part) for part in parts])
        case Either(parts):
            return _either([_predicate(part) for part in parts])
        case Opposite(part):
            inner = _predicate(part)
            return lambda record, related: not inner(record, related)
        case Reach(field, pipeline_id, part):
            return _reach(field, pipeline_id, _predicate(part))
        case _:
            return _value_predicate(_reader(test.field), _check(test))


def _all(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]

    def every(record: Record, related: Related) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would double the cost
            if not part(record, related):
                return False
        return True

    return every


def _either(parts: list[Predicate]) -> Predicate:
    def some(record: Record, related: Related) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would double the cost
            if part(record, related):
                return True
        return False

    return some


def _reach(field: Field, pipeline_id: UUID | None, inner: Predicate) -> Predicate:
    read = _reader(field)
    wanted = None if pipeline_id is None else str(pipeline_id)

    def passes(identifier: str, related: Related) -> bool:
        record = related(identifier)
        if record is None or (wanted and str(record.get("pipeline_id", wanted)) != wanted):
            return False
        return inner(record, related)

    if not field.listed:
        return lambda record, related: (value := read(record)) is not None and passes(str(value), related)
    return lambda record, related: any(passes(item, related) for item in _ids(read(record)))


def _ids(value: object) -> list[str]:
    items = value if isinstance(value, list) else []
    return [item for item in items if type(item) is str and _UUID.fullmatch(item)]


def _value_predicate(read: Read, check: Callable[[object], bool]) -> Predicate:
    def holds(record: Record, related: Related) -> bool:
        value = read(record)
        return value is not None and check(value)

    return holds


def _reader(field: Field) -> Read:
    """Reads the value; null if it is not of the field's kind."""
    name, convert = field.name, _CONVERT[field.stored_kind]
    if field.column:
        return lambda record: convert(record.get(name))

    if "." in name:
        return _part_reader(field, convert)

    def read(record: Record) -> object:
        data = record["data"]
        return convert(data.get(name)) if isinstance(data, Mapping) else None

    return read


def _part_reader(field: Field, convert: Callable[[object], object]) -> Read:
    def read(record: Record) -> object:
        value: object = record["data"]
        for step in field.steps:
            value = value.get(step) if isinstance(value, Mapping) else None
        return convert(value)

    return read


def _text(value: object) -> object:
    return value if type(value) is str else None


def _moment(value: object) -> object:
    return rfc3339(value) if isinstance(value, datetime) else _text(value)


def _number(value: object) -> object:
    kind = type(value)
    if kind is int:
        return value
    if kind is float:
        return Decimal(repr(value))
    return value if kind is Decimal else None


def _uuid(value: object) -> object:
    if type(value) is str:
        return value if _UUID.fullmatch(value) else None
    return str(value) if isinstance(value, UUID) else None


_CONVERT: dict[Kind, Callable[[object], object]] = {
    Kind.TEXT: _text,
    Kind.DATE: _text,
    Kind.DATETIME: _moment,
    Kind.NUMBER: _number,
    Kind.DURATION: lambda value: durations.canonical_seconds(value) if type(value) is str else None,
    Kind.BOOLEAN: lambda value: value if type(value) is bool else None,
    Kind.UUID: _uuid,
    Kind.RELATION: _uuid,
    Kind.LIST: lambda value: value if type(value) is list else None,
    Kind.JSON: lambda value: value,
}


def _check(test: Equal | Range | Search | Present | Filled | Has) -> Callable[[object], bool]:
    match test:
        case Equal(_, values):
            return frozenset(values).__contains__
        case Range():
            return _range(test)
        case Search():
            return _search(test)
        case Present():
            return lambda value: True
        case Filled():
            return lambda value: not (isinstance(value, str | list | Mapping) and not value)
        case Has(_, values, every):
            return _has(frozenset(values), every)


def _range(test: Range) -> Callable[[object], bool]:
    low: Any = test.low
    high: Any = test.high
    checks: list[Callable[[object], bool]] = []
    if low is not None:
        checks.append(low.__lt__ if test.low_open else low.__le__)
    if high is not None:
        checks.append(high.__gt__ if test.high_open else high.__ge__)
    return checks[0] if len(checks) == 1 else lambda value: all(check(value) for check in checks)


def _search(test: Search) -> Callable[[object], bool]:
    text = test.text
    if test.at_end:
        return lambda value: str(value).endswith(text)
    if test.folded:
        return lambda value: text in fold(str(value))
    return lambda value: text in str(value)


def _has(values: frozenset[str], every: bool) -> Callable[[object], bool]:
    def texts(value: object) -> set[str]:
        return {item for item in value if type(item) is str} if isinstance(value, list) else set()

    return (lambda value: values <= texts(value)) if every else (lambda value: not values.isdisjoint(texts(value)))

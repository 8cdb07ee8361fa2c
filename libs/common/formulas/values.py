"""Values while a formula is computed: exact decimals, texts, booleans, dates, moments in UTC, lists; None is null."""

import decimal
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from libs.common.clock import rfc3339
from libs.common.filters import durations

Type: TypeAlias = Literal["number", "text", "boolean", "date", "datetime", "list"]
Value: TypeAlias = Any

MAX_TEXT = 10_000
MAX_ITEMS = 1_000
DIGITS = 15
"""A number that is no integer is kept with so many digits: as many as a double holds for sure."""

MATHS = decimal.Context(prec=50, rounding=decimal.ROUND_HALF_UP, Emin=-400, Emax=400, traps=[])
_KEPT = decimal.Context(prec=DIGITS, rounding=decimal.ROUND_HALF_UP, Emin=-400, Emax=400, traps=[])
MAX_EXPONENT = 300


def decimal_of(value: object) -> Decimal | None:
    """A JSON number, exact as it is written."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return finite(Decimal(value) if isinstance(value, int) else Decimal(str(value)))


def finite(number: Decimal) -> Decimal | None:
    """The number, or null where it is none, or too large."""
    if not number.is_finite():
        return None
    return number if not number or abs(number.adjusted()) <= MAX_EXPONENT else None


def short(text: str) -> str | None:
    """The text, or null where it is too long."""
    return text if len(text) <= MAX_TEXT else None


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _list(value: object) -> list[object] | None:
    return value[:MAX_ITEMS] if isinstance(value, list) else None


_READ: Mapping[Type, Callable[[object], Value]] = {
    "number": decimal_of,
    "text": _text,
    "boolean": _boolean,
    "date": _date,
    "datetime": _moment,
    "list": _list,
}


def from_json(value: object, kind: Type) -> Value:
    """A stored value as one to compute with; null where it is of another type. A duration is a number of seconds."""
    if kind == "number" and isinstance(value, str):
        return durations.seconds(value)
    return _READ[kind](value)


def to_json(value: Value) -> Any:
    """A value as it is stored: integers exactly, other numbers with 15 digits, moments in milliseconds."""
    match value:
        case Decimal():
            return _number(value)
        case datetime():
            return rfc3339(value)
        case date():
            return value.isoformat()
        case list():
            return [to_json(item) for item in value]
    return value


def _number(value: Decimal) -> int | float | None:
    if finite(value) is None:
        return None
    if value == value.to_integral_value(context=MATHS) and value.adjusted() < 40:
        return int(value)
    found = float(_KEPT.plus(value))
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def shown(value: Value) -> str:
    """A value as text: `12.5`, `true`, `2026-01-31`; null is empty."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            kept = to_json(value)
            return format(Decimal(str(kept)), "f").removesuffix(".0") if kept is not None else ""
        case list():
            return ", ".join(shown(item) for item in value)
    made = to_json(value)
    return made if isinstance(made, str) else str(made)

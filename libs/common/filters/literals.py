"""Values of comparisons: what each kind takes, from JSON and from text, and its canonical form."""

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from uuid import UUID

from libs.common.filters import dates, durations
from libs.common.filters.schema import Kind
from libs.common.filters.syntax import Literal

USER = "$user"
MAX_TEXT = 10_000
_MAX_DIGITS = 400
_NUMBER = re.compile(r"-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


class Refused(Exception):
    """The value does not suit the kind; the message says what would."""


def literal(value: object, kind: Kind) -> Literal:
    """The canonical form of one value for a kind; raises Refused."""
    return _LITERALS[kind](value)


def boolean(value: object) -> bool:
    """A boolean, or its name."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    raise Refused("true or false is expected")


def text(value: object) -> str:
    """Text that PostgreSQL can hold."""
    if not isinstance(value, str):
        raise Refused("a text is expected")
    if len(value) > MAX_TEXT:
        raise Refused(f"at most {MAX_TEXT} characters are taken")
    if "\0" in value or not _encodable(value):
        raise Refused("NUL and unpaired surrogates are not taken")
    return value


def number(value: object) -> Decimal:
    """An exact number: a JSON number, or its decimal text."""
    found = _decimal(value)
    if found is None or not found.is_finite() or not _bounded(found):
        raise Refused("a finite number is expected")
    return found or Decimal(0)


def duration(value: object) -> Decimal:
    """The seconds of a duration: ISO 8601 text, or a number of seconds."""
    found = durations.seconds(value) if isinstance(value, str) else None
    try:
        return number(value) if found is None else found
    except Refused:
        raise Refused("a duration (ISO 8601: P1DT2H) or a number of seconds is expected") from None


def uuid(value: object) -> str:
    """A UUID in lower case, or `$user`."""
    if value == USER:
        return USER
    try:
        return str(UUID(text(value)))
    except ValueError:
        raise Refused("a UUID or $user is expected") from None


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decimal(value: object) -> Decimal | None:
    match value:
        case bool():
            return None
        case Decimal():
            return value
        case int():
            return Decimal(value)
        case float() if math.isfinite(value):
            return Decimal(repr(value))
        case str() if _NUMBER.fullmatch(value.strip()):
            return _from_text(value.strip())
    return None


def _from_text(value: str) -> Decimal | None:
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _bounded(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_MAX_DIGITS and value.adjusted() <= _MAX_DIGITS


def _date(value: object) -> str:
    found = dates.canonical(text(value), Kind.DATE)
    if found is None:
        raise Refused("a date (YYYY-MM-DD) or a relative date (today, -7d, this_month) is expected")
    return found


def _datetime(value: object) -> str:
    found = dates.canonical(text(value), Kind.DATETIME)
    if found is None:
        raise Refused("a time (RFC 3339 with an offset), a date or a relative date (-7d, $now) is expected")
    return found


_LITERALS: dict[Kind, Callable[[object], Literal]] = {
    Kind.TEXT: text,
    Kind.NUMBER: number,
    Kind.BOOLEAN: boolean,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.DURATION: duration,
    Kind.LIST: text,
    Kind.RELATION: uuid,
    Kind.UUID: uuid,
}

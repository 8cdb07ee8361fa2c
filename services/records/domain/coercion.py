"""From what a cell says to a value as the API takes it; what cannot be read stays, for the field's check to refuse."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta

import msgspec

from libs.common.clock import rfc3339
from services.records.domain.definitions import Field

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_MONEY = re.compile(r"(?:([A-Za-z]{3})\s*)?([+-]?[0-9][0-9.]*)(?:\s*([A-Za-z]{3}))?")
_GERMAN = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YES = frozenset(("true", "yes", "y", "1", "x", "on"))
_NO = frozenset(("false", "no", "n", "0", "off"))

Coerce = Callable[[object], object]


def compile_coercion(field: Field) -> Coerce:
    """What turns cells into values of a field. Times without an offset are in UTC; lists are parted by `;` or `,`."""
    named = field.type in ("relation", "user")
    make: Coerce = (_list if field.many else _id) if named else _BY_TYPE.get(field.type, _text)
    choices = {option.value.casefold(): option.value for option in (*field.options, *field.stages)}
    if choices and field.type in ("select", "stage"):
        return lambda value: _choice(_plain(value), choices)
    if choices and field.type == "multiselect":
        return lambda value: (
            [_choice(item, choices) for item in found] if isinstance(found := _list(_plain(value)), list) else found
        )
    return lambda value: make(_plain(value))


def _plain(value: object) -> object:
    """A cell of a sheet as JSON knows it; text without blanks around it, and none for no text."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, datetime):
        return rfc3339(value) if value.tzinfo else value.isoformat(timespec="milliseconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"PT{value.total_seconds():g}S"
    return value


def _text(value: object) -> object:
    if isinstance(value, bool) or value is None:
        return value if value is None else str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value


def _number(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.replace("\u00a0", "").replace(" ", "")
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else value


def _boolean(value: object) -> object:
    text = str(value).lower() if isinstance(value, str | int | float) else None
    if text in _YES or text == "1.0":
        return True
    return False if text in _NO or text == "0.0" else value


def _date(value: object) -> object:
    if not isinstance(value, str):
        return value
    if found := _GERMAN.fullmatch(value):
        return f"{found[3]}-{int(found[2]):02}-{int(found[1]):02}"
    midnight = value[10:] in ("T00:00:00", "T00:00:00.000", "T00:00:00Z", "T00:00:00.000Z", " 00:00:00")
    return value[:10] if midnight else value


def _moment(value: object) -> object:
    if not isinstance(value, str):
        return value
    day = _date(value)
    if isinstance(day, str) and _DAY.fullmatch(day):
        return f"{day}T00:00:00Z"
    return f"{value}Z" if _LOCAL.fullmatch(value) else value


def _money(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"amount": value}
    found = _parsed(value)
    if isinstance(found, str) and (match := _MONEY.fullmatch(found)):
        currency = match[1] or match[3]
        return {"amount": match[2], **({"currency": currency.upper()} if currency else {})}
    return found


def _address(value: object) -> object:
    found = _parsed(value)
    return {"line1": found} if isinstance(found, str) else found


def _parsed(value: object) -> object:
    """JSON in a cell, where that is what it holds."""
    if not isinstance(value, str) or value[:1] not in '{["' or "\\u0000" in value:
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return value


def _json(value: object) -> object:
    found = _parsed(value)
    if not isinstance(found, str):
        return found
    return {"true": True, "false": False, "null": None}.get(found, _number(found))


def _list(value: object) -> object:
    found = _parsed(value)
    if isinstance(found, str):
        parts = (part.strip() for part in found.split(";" if ";" in found else ","))
        return [part for part in parts if part] or None
    if isinstance(found, int | float) and not isinstance(found, bool):
        return [_text(found)]
    return found


def _id(value: object) -> object:
    return _text(value) if not isinstance(value, bool) else value


def _choice(value: object, choices: Mapping[str, str]) -> object:
    text = _text(value)
    return choices.get(text.casefold(), text) if isinstance(text, str) else text


def _choices(value: object, choices: Mapping[str, str]) -> object:
    return [_choice(item, choices) for item in value] if isinstance(value, list) else value


_BY_TYPE: Mapping[str, Coerce] = {
    "number": _number,
    "rating": _number,
    "boolean": _boolean,
    "date": _date,
    "datetime": _moment,
    "currency": _money,
    "address": _address,
    "json": _json,
    "tags": _list,
    "multiselect": _list,
    "duration": lambda value: value,
}

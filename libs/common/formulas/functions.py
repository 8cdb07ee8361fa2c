"""The functions of formulas: what each takes, what it gives, and what it does with it.

A null among what is given makes the result null, unless the function is `lenient`. What cannot be computed is null too.
Texts and lists are counted from 1, as people count. Days begin in UTC.
"""

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from libs.common.formulas.values import MATHS, MAX_TEXT, finite, shown

SECONDS = Decimal(86400)


@dataclass(frozen=True)
class Function:
    """One function. `takes` are types: `any`, alternatives as `text|list`, `same` as the first; the last may repeat."""

    name: str
    takes: tuple[str, ...]
    gives: str
    run: Callable[..., Any]
    doc: str
    least: int | None = None
    repeats: bool = False
    lenient: bool = False


def _round(number: Decimal, places: Decimal = Decimal(0)) -> Decimal | None:
    if places != int(places) or not -30 <= places <= 30:
        return None
    return finite(MATHS.quantize(number, Decimal(1).scaleb(-int(places)))) if number else number


def _to_integral(rounding: str) -> Callable[[Decimal], Decimal]:
    return lambda number: number.to_integral_value(rounding=rounding)


def _sqrt(number: Decimal) -> Decimal | None:
    return finite(MATHS.sqrt(number))


def _number(value: str | bool | Decimal) -> Decimal | None:
    if isinstance(value, bool):
        return Decimal(int(value))
    text = str(value).strip()
    return finite(MATHS.create_decimal(text)) if 0 < len(text) <= 100 and text.isascii() and "_" not in text else None


def _whole(number: Decimal) -> int:
    return max(-MAX_TEXT, min(MAX_TEXT, int(number)))


def _left(text: str, count: Decimal) -> str:
    return text[: max(0, _whole(count))]


def _right(text: str, count: Decimal) -> str:
    length = max(0, _whole(count))
    return text[-length:] if length else ""


def _mid(text: str, begin: Decimal, count: Decimal) -> str:
    first = max(0, _whole(begin) - 1)
    return text[first : first + max(0, _whole(count))]


def _replace(text: str, old: str, new: str) -> str | None:
    if not old:
        return text
    grown = len(text) + text.count(old) * (len(new) - len(old))
    return text.replace(old, new) if grown <= MAX_TEXT else None


def _contains(where: str | list[Any], what: str) -> bool:
    return what in where


def _join(items: list[Any], between: str = ", ") -> str:
    return between.join(shown(item) for item in items)[: MAX_TEXT + 1]


def _concat(*values: Any) -> str:
    return "".join(shown(value) for value in values)


def _smallest(*values: Any) -> Any:
    known = [value for value in values if value is not None]
    return min(known) if known else None


def _largest(*values: Any) -> Any:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == []


def _day(value: date | datetime | str) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, str):
        return date.fromisoformat(value) if len(value) == 10 else None
    return value


def _date(year: Decimal, month: Decimal, day: Decimal) -> date | None:
    parts = (year, month, day)
    return date(int(year), int(month), int(day)) if all(it == it.to_integral_value() for it in parts) else None


def _moment(value: date | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)


def _add_days(value: date | datetime, days: Decimal) -> date | datetime | None:
    if isinstance(value, datetime):
        return value + timedelta(milliseconds=int(days * SECONDS * 1000))
    return value + timedelta(days=int(days))


def _add_months(value: date | datetime, months: Decimal) -> date | datetime:
    year, month = divmod(value.year * 12 + value.month - 1 + _whole(months), 12)
    return value.replace(year=year, month=month + 1, day=min(value.day, monthrange(year, month + 1)[1]))


def _add_years(value: date | datetime, years: Decimal) -> date | datetime:
    return _add_months(value, years * 12)


def _days_between(begin: date | datetime, end: date | datetime) -> Decimal:
    apart = _moment(end) - _moment(begin)
    milliseconds = apart.days * 86_400_000 + apart.seconds * 1000 + apart.microseconds // 1000
    return Decimal(milliseconds) / (SECONDS * 1000)


def _months_between(begin: date | datetime, end: date | datetime) -> Decimal:
    months = (end.year - begin.year) * 12 + end.month - begin.month
    return Decimal(months - (end.day < begin.day) if months > 0 else months + (end.day > begin.day and months < 0))


def _start_of_month(value: date | datetime) -> date:
    return date(value.year, value.month, 1)


def _end_of_month(value: date | datetime) -> date:
    return date(value.year, value.month, monthrange(value.year, value.month)[1])


def _part(name: str) -> Callable[[date | datetime], Decimal]:
    return lambda value: Decimal(getattr(value, name))


_WHEN = "date|datetime"
_ORDERED = "number|text|date|datetime"

FUNCTIONS: dict[str, Function] = {
    it.name: it
    for it in (
        Function("coalesce", ("any", "same"), "same", _first, "the first that is not null", 2, True, True),
        Function("is_null", ("any",), "boolean", lambda it: it is None, "whether there is no value", lenient=True),
        Function("is_empty", ("any",), "boolean", _is_empty, "whether there is nothing in it", lenient=True),
        Function("abs", ("number",), "number", MATHS.abs, "the number without its sign"),
        Function("round", ("number", "number"), "number", _round, "rounded to so many places, halves away from 0", 1),
        Function("floor", ("number",), "number", _to_integral(ROUND_FLOOR), "the next integer below"),
        Function("ceil", ("number",), "number", _to_integral(ROUND_CEILING), "the next integer above"),
        Function("sqrt", ("number",), "number", _sqrt, "the square root; null below 0"),
        Function("number", ("text|boolean|number",), "number", _number, "a text as a number, or null; true is 1"),
        Function("min", (_ORDERED, "same"), "same", _smallest, "the smallest, without nulls", 1, True, True),
        Function("max", (_ORDERED, "same"), "same", _largest, "the largest, without nulls", 1, True, True),
        Function("length", ("text|list",), "number", lambda it: Decimal(len(it)), "how many characters or items"),
        Function("lower", ("text",), "text", str.lower, "in small letters"),
        Function("upper", ("text",), "text", str.upper, "in capital letters"),
        Function("trim", ("text",), "text", str.strip, "without space around it"),
        Function("left", ("text", "number"), "text", _left, "the first characters"),
        Function("right", ("text", "number"), "text", _right, "the last characters"),
        Function("mid", ("text", "number", "number"), "text", _mid, "from a character on, so many"),
        Function("contains", ("text|list", "text"), "boolean", _contains, "whether a text or list has it"),
        Function("starts_with", ("text", "text"), "boolean", str.startswith, "whether a text begins so"),
        Function("ends_with", ("text", "text"), "boolean", str.endswith, "whether a text ends so"),
        Function("replace", ("text", "text", "text"), "text", _replace, "each occurrence replaced by another text"),
        Function("join", ("list", "text"), "text", _join, "the items with a text (`, `) between them", 1),
        Function("concat", ("any",), "text", _concat, "all as one text; null is empty", 1, True, True),
        Function("text", ("any",), "text", shown, "as text"),
        Function("date", ("number", "number", "number"), "date", _date, "the date of a year, month and day"),
        Function("to_date", ("text|date|datetime",), "date", _day, "the day of a moment, or of a text `2026-01-31`"),
        Function("year", (_WHEN,), "number", _part("year"), "the year"),
        Function("month", (_WHEN,), "number", _part("month"), "the month, from 1"),
        Function("day", (_WHEN,), "number", _part("day"), "the day of the month"),
        Function("hour", ("datetime",), "number", _part("hour"), "the hour"),
        Function("minute", ("datetime",), "number", _part("minute"), "the minute"),
        Function("weekday", (_WHEN,), "number", lambda it: Decimal(it.isoweekday()), "1 is Monday, 7 Sunday"),
        Function("add_days", (_WHEN, "number"), "same", _add_days, "so many days later"),
        Function("add_months", (_WHEN, "number"), "same", _add_months, "so many months later"),
        Function("add_years", (_WHEN, "number"), "same", _add_years, "so many years later"),
        Function("days_between", (_WHEN, _WHEN), "number", _days_between, "the days from the first to the second"),
        Function("months_between", (_WHEN, _WHEN), "number", _months_between, "full months from one to the other"),
        Function("start_of_month", (_WHEN,), "date", _start_of_month, "the first day of the month"),
        Function("end_of_month", (_WHEN,), "date", _end_of_month, "the last day of the month"),
    )
}  # fmt: skip

MOVING = ("now", "today", "random", "uuid")
"""What formulas do not have: their values are kept, and would be wrong as soon as time goes on."""

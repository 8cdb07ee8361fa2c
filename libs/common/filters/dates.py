"""Dates and times in filters, absolute and relative.

Every value stands for a span of days or of milliseconds, first and last included, in the zone of the context::

    2026-01-31                       that day
    2026-01-31T12:00:00+01:00        that millisecond (RFC 3339 with an offset; datetime fields only)
    $now                             this millisecond; for a date field today
    today  yesterday  tomorrow       that day
    this_week  last_month  next_year …   last|this|next _ week|month|quarter|year; weeks begin on Monday (ISO 8601)
    -7d  +2w  3h                     now moved by s, min, h (elapsed time) or d, w, mo, y (on the calendar and the
                                     wall clock; the 31st becomes the month's last day); for a date field the day

`eq` holds inside the span, `lt` and `before` ahead of it, `gt` and `after` behind it, `lte` up to its end, `gte`
from its beginning, `between` from the first's beginning to the second's end. `within` is `eq`, but an offset
spans all between it and now. What falls out of the years 1 to 9999 stops at their ends.
"""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

from libs.common.clock import FIRST, LAST, rfc3339, utc
from libs.common.filters.schema import Context, Kind

Span = tuple[str, str]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_PERIOD = re.compile(r"(last|this|next)_(week|month|quarter|year)")
_OFFSET = re.compile(r"([+-]?)(\d{1,6})(s|min|h|d|w|mo|y)", re.ASCII)
_NAMED_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_STEPS = {"last": -1, "this": 0, "next": 1}
_CLOCK = {"s": 1, "min": 60, "h": 3600}
_DAYS = {"d": 1, "w": 7}
_MONTHS = {"mo": 1, "y": 12}
_MILLISECOND = timedelta(milliseconds=1)


def is_relative(text: str) -> bool:
    """Whether the text is a value that moves with time."""
    known = text == "$now" or text in _NAMED_DAYS
    return known or bool(_PERIOD.fullmatch(text) or _OFFSET.fullmatch(text))


def canonical(text: str, kind: Kind) -> str | None:
    """The value as it is kept in a filter; None if it is not one for this kind."""
    text = text.strip()
    if is_relative(text):
        return text
    if _DAY.fullmatch(text):
        return text if _date(text) else None
    return _moment(text) if kind is Kind.DATETIME and _MOMENT.fullmatch(text) else None


def span(text: str, kind: Kind, context: Context) -> Span:
    """First and last day (or millisecond) of a canonical value, as text that sorts like time."""
    if offset := _OFFSET.fullmatch(text):
        return _instant(_shift(context, offset), kind, context)
    if text == "$now":
        return _instant(context.now, kind, context)
    days = _days(text, context)
    if days is None:
        return text, text
    return _text_of_days(*days) if kind is Kind.DATE else _moments(*days, context)


def window(text: str, kind: Kind, context: Context) -> Span:
    """The span of `within`: like `span`, but an offset reaches to now."""
    first, last = span(text, kind, context)
    if not _OFFSET.fullmatch(text):
        return first, last
    now_first, now_last = span("$now", kind, context)
    return min(first, now_first), max(last, now_last)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _moment(text: str) -> str | None:
    try:
        return rfc3339(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        return None


def _instant(moment: datetime, kind: Kind, context: Context) -> Span:
    text = _local(moment, context).date().isoformat() if kind is Kind.DATE else rfc3339(moment)
    return text, text


def _text_of_days(first: date, last: date) -> Span:
    return first.isoformat(), last.isoformat()


def _moments(first: date, last: date, context: Context) -> Span:
    end = LAST if last == date.max else _midnight(last + timedelta(days=1), context) - _MILLISECOND
    return rfc3339(_midnight(first, context)), rfc3339(end)


def _midnight(day: date, context: Context) -> datetime:
    return utc(datetime(day.year, day.month, day.day, tzinfo=context.tz))


def _local(moment: datetime, context: Context) -> datetime:
    try:
        return moment.astimezone(context.tz)
    except OverflowError:
        return moment


def _days(text: str, context: Context) -> tuple[date, date] | None:
    today = _local(context.now, context).date()
    if text in _NAMED_DAYS:
        day = today + timedelta(days=_NAMED_DAYS[text])
        return day, day
    if period := _PERIOD.fullmatch(text):
        return _period(today, period[2], _STEPS[period[1]])
    literal = _date(text) if _DAY.fullmatch(text) else None
    return (literal, literal) if literal else None


def _period(today: date, unit: str, step: int) -> tuple[date, date]:
    if unit == "week":
        monday = today + timedelta(days=7 * step - today.weekday())
        return monday, monday + timedelta(days=6)
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    begin = (today.month - 1) // months * months + 1
    first = _add_months(today.replace(month=begin, day=1), months * step)
    return first, _month_end(_add_months(first, months - 1))


def _month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def _add_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _shift(context: Context, offset: re.Match[str]) -> datetime:
    sign, digits, unit = offset.groups()
    amount = -int(digits) if sign == "-" else int(digits)
    try:
        return _move(context, amount, unit)
    except OverflowError:
        return FIRST if amount < 0 else LAST


def _move(context: Context, amount: int, unit: str) -> datetime:
    if unit in _CLOCK:
        return context.now.astimezone(UTC) + timedelta(seconds=amount * _CLOCK[unit])
    local = context.now.astimezone(context.tz)
    if unit in _DAYS:
        return utc(local + timedelta(days=amount * _DAYS[unit]))
    day = _add_months(local.date(), amount * _MONTHS[unit])
    return utc(local.replace(year=day.year, month=day.month, day=day.day))

"""Whether a value fits a field: what a default must satisfy."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import msgspec

from libs.common.filters import durations
from services.pipelines.domain.codes import CURRENCIES
from services.pipelines.domain.fields import (
    MAX_AMOUNT_DIGITS,
    MAX_NUMBER,
    MAX_TEXT,
    AnyField,
    BooleanField,
    CurrencyField,
    DateField,
    DatetimeField,
    DurationField,
    EmailField,
    JsonField,
    MultiselectField,
    NumberField,
    RatingField,
    SelectField,
    StageField,
    TagsField,
    TextareaField,
    TextField,
    UrlField,
)
from services.pipelines.domain.patterns import found

_EMAIL = re.compile(r"[^\s@\"(),:;<>\[\]\\]{1,64}@(?:[^\s@.]{1,63}\.)+[^\s@.]{2,63}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")
MAX_TAGS = 100
MAX_TAG = 100
MAX_JSON = 64 * 1024
MAX_DEPTH = 32


def misfits(field: AnyField, value: object) -> Iterator[str]:
    """Why a value does not fit a field that is right in itself; nothing where it fits."""
    check = _CHECKS.get(type(field))
    if check is not None:
        yield from check(field, value)


def _text(field: TextField, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield "Text is expected"
        return
    if field.min_length is not None and len(value) < field.min_length:
        yield f"At least {field.min_length} characters are expected"
    if len(value) > (MAX_TEXT if field.max_length is None else field.max_length):
        yield f"At most {MAX_TEXT if field.max_length is None else field.max_length} characters are expected"
    if field.pattern is not None and not found(field.pattern, value):
        yield "The value does not match the pattern"


def _number(field: NumberField, value: object) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield "A number is expected"
        return
    if abs(value) > MAX_NUMBER:
        yield "A number of reasonable size is expected"
        return
    if field.kind == "integer" and value != int(value):
        yield "An integer is expected"
    if field.min is not None and value < field.min:
        yield f"At least {field.min} is expected"
    if field.max is not None and value > field.max:
        yield f"At most {field.max} is expected"
    if field.step is not None and (Fraction(str(value)) - Fraction(str(field.min or 0))) % Fraction(str(field.step)):
        yield f"Steps of {field.step} are expected"


def _boolean(_: BooleanField, value: object) -> Iterator[str]:
    if not isinstance(value, bool):
        yield "true or false is expected"


def _date(_: DateField, value: object) -> Iterator[str]:
    if not (isinstance(value, str) and _DATE.fullmatch(value) and _parses(date.fromisoformat, value)):
        yield "A date such as 2026-01-31 is expected"


def _datetime(_: DatetimeField, value: object) -> Iterator[str]:
    if not (isinstance(value, str) and _MOMENT.fullmatch(value) and _parses(_utc, value)):
        yield "A time such as 2026-01-31T12:00:00Z is expected"


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except (ValueError, OverflowError):
        return False
    return True


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def _email(_: EmailField, value: object) -> Iterator[str]:
    if not (isinstance(value, str) and len(value) <= 254 and _EMAIL.fullmatch(value)):
        yield "An e-mail address is expected"


def _url(_: UrlField, value: object) -> Iterator[str]:
    if not (isinstance(value, str) and len(value) <= 2048 and _is_url(value)):
        yield "An http or https address is expected"


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", text)
    except ValueError:
        return False


def _select(field: SelectField, value: object) -> Iterator[str]:
    if value not in [option.value for option in field.options]:
        yield f"'{value}' is not one of the options"


def _multiselect(field: MultiselectField, value: object) -> Iterator[str]:
    known = [option.value for option in field.options]
    if not isinstance(value, list):
        yield "A list of options is expected"
    else:
        yield from (f"'{item}' is not one of the options" for item in value if item not in known)


def _stage(field: StageField, value: object) -> Iterator[str]:
    if value not in [stage.value for stage in field.stages]:
        yield f"'{value}' is not one of the stages"


def _tags(_: TagsField, value: object) -> Iterator[str]:
    right = isinstance(value, list) and all(isinstance(tag, str) and 0 < len(tag) <= MAX_TAG for tag in value)
    if not right or len(value) > MAX_TAGS:  # type: ignore[arg-type]
        yield f"A list of at most {MAX_TAGS} words is expected, each of at most {MAX_TAG} characters"


def _currency(field: CurrencyField, value: object) -> Iterator[str]:
    if not isinstance(value, dict) or value.keys() - {"amount", "currency"}:
        yield 'An amount such as {"amount": 12.5, "currency": "EUR"} is expected'
        return
    currency = value.get("currency", field.currency)
    if currency not in CURRENCIES or field.currency not in (None, currency):
        yield "A currency of ISO 4217 is expected, and that of the field where it has one"
        return
    amount = value.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not _exact(amount, field.places(currency)):
        yield f"An amount of at most {MAX_AMOUNT_DIGITS} digits is expected, {field.places(currency)} of them decimals"


def _exact(amount: int | float, places: int) -> bool:
    number = Decimal(repr(amount)).normalize().as_tuple()
    exponent = number.exponent
    return (
        isinstance(exponent, int) and len(number.digits) + max(0, exponent) <= MAX_AMOUNT_DIGITS and -exponent <= places
    )


def _duration(_: DurationField, value: object) -> Iterator[str]:
    if not isinstance(value, str) or durations.seconds(value) is None:
        yield "A duration such as P1DT2H is expected"


def _rating(field: RatingField, value: object) -> Iterator[str]:
    if type(value) is not int or not 0 <= value <= field.max:
        yield f"An integer from 0 to {field.max} is expected"


def _json(_: JsonField, value: object) -> Iterator[str]:
    if depth(value) > MAX_DEPTH or len(msgspec.json.encode(value)) > MAX_JSON:
        yield f"JSON of at most {MAX_JSON} bytes and {MAX_DEPTH} levels is expected"


def depth(value: object) -> int:
    """How many levels of lists and objects a JSON value has."""
    found, ahead = 0, [value]
    while ahead and found <= MAX_DEPTH:
        nested = [item for item in ahead if isinstance(item, list | dict)]
        ahead = [one for item in nested for one in (item.values() if isinstance(item, dict) else item)]
        found += bool(nested)
    return found


_CHECKS: dict[type[AnyField], Callable[[Any, object], Iterator[str]]] = {
    TextField: _text,
    TextareaField: _text,
    NumberField: _number,
    BooleanField: _boolean,
    DateField: _date,
    DatetimeField: _datetime,
    EmailField: _email,
    UrlField: _url,
    SelectField: _select,
    MultiselectField: _multiselect,
    StageField: _stage,
    TagsField: _tags,
    CurrencyField: _currency,
    DurationField: _duration,
    RatingField: _rating,
    JsonField: _json,
}

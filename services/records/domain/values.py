"""Values of fields: a check per field type, compiled from the field's options, giving the value as it is stored.

Dates are stored as `YYYY-MM-DD`, times as RFC 3339 in UTC with milliseconds, ids in lower case. Numbers are JSON
numbers that a double or a signed 64-bit integer holds.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from fractions import Fraction
from functools import lru_cache
from urllib.parse import urlsplit
from uuid import UUID

import re2
from email_validator import EmailNotValidError, validate_email

from libs.common.clock import rfc3339
from libs.common.errors import Fault
from services.records.domain.definitions import Field

MAX_TEXT = 100_000
MAX_URL = 2_048
MAX_TAGS = 100
MAX_TAG = 100
MAX_RELATED = 1_000
MAX_NAMED = 20
INT64 = 2**63
MAX_LOCAL = 64
MAX_ADDRESS = 200
"""Longer addresses of mail are looked at as a whole; the standard's own bound is 254."""

Check = Callable[[object], object]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


class Wrong(Exception):
    """The value does not fit: a stable code, and why in words; for a structured value by part."""

    def __init__(self, code: str, detail: str, parts: "Mapping[str, Wrong] | None" = None) -> None:
        self.code = code
        self.detail = detail
        self.parts = parts or {}
        super().__init__(detail)

    def faults(self, pointer: str) -> list[Fault]:
        """What is wrong, each part with its own pointer."""
        if not self.parts:
            return [Fault(pointer, self.code, self.detail)]
        return [fault for step, wrong in self.parts.items() for fault in wrong.faults(f"{pointer}/{step}")]


def string(value: object, most: int = MAX_TEXT) -> str:
    """Text that PostgreSQL can hold, up to so many characters."""
    if not isinstance(value, str):
        raise Wrong("wrong_type", "Text is expected")
    if len(value) > most:
        raise Wrong("too_long", f"At most {most} characters are taken")
    if "\0" in value:
        raise Wrong("invalid_text", "Text may not contain the NUL character")
    return value


def text_check(field: Field) -> Check:
    """Text with its lengths, pattern and case."""
    least, most = field.min_length or 0, MAX_TEXT if field.max_length is None else field.max_length
    pattern = _pattern(field.pattern) if field.pattern else None

    def check(value: object) -> object:
        text = string(value, most)
        if text and len(text) < least:
            raise Wrong("too_short", f"At least {least} characters are expected")
        if pattern is not None and text and pattern.search(text) is None:
            raise Wrong("pattern_mismatch", f"Text that matches {field.pattern} is expected")
        return text

    if field.case == "keep":
        return check
    return lambda value: check(_cased(value, field.case))


def _cased(value: object, case: str) -> object:
    if not isinstance(value, str) or case == "keep":
        return value
    return value.lower() if case == "lower" else value.upper()


@lru_cache(maxsize=1000)
def _pattern(text: str) -> "re2._Regexp":
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    return re2.compile(text, options)


def number_check(field: Field) -> Check:
    """A number with its kind and bounds."""
    integer = field.kind == "integer"

    def check(value: object) -> object:
        if type(value) is not int and type(value) is not float:
            raise Wrong("wrong_type", "A number is expected")
        return bounded(field, finite(value, integer))

    return check


def finite(value: int | float, integer: bool) -> int | float:
    """A number that a double or a 64-bit integer holds."""
    if not -INT64 <= value < INT64 if type(value) is int else not math.isfinite(value):
        raise Wrong("out_of_range", "A number that a double or a 64-bit integer holds is expected")
    if integer and value != int(value):
        raise Wrong("not_integer", "An integer is expected")
    whole = integer or value == 0
    return finite(int(value), False) if whole and type(value) is float else value


def bounded(field: Field, value: int | float) -> int | float:
    """A number within the field's bounds and on its steps, which count from `min`."""
    if field.min is not None and value < field.min:
        raise Wrong("too_small", f"At least {field.min:g} is expected")
    if field.max is not None and value > field.max:
        raise Wrong("too_large", f"At most {field.max:g} is expected")
    if field.step and (Fraction(str(value)) - Fraction(str(field.min or 0))) % Fraction(str(field.step)):
        raise Wrong("invalid_step", f"A multiple of {field.step:g} is expected")
    return value


def boolean_check(_: Field) -> Check:
    """True or false."""

    def check(value: object) -> object:
        if not isinstance(value, bool):
            raise Wrong("wrong_type", "true or false is expected")
        return value

    return check


def calendar_date(_: Field) -> Check:
    """A date of the calendar."""

    def check(value: object) -> object:
        text = string(value)
        try:
            if _DATE.fullmatch(text):
                return date.fromisoformat(text).isoformat()
        except ValueError:
            pass
        raise Wrong("invalid_date", "A date is expected: YYYY-MM-DD")

    return check


def moment(_: Field) -> Check:
    """A moment, kept in UTC."""

    def check(value: object) -> object:
        text = string(value)
        try:
            if _MOMENT.fullmatch(text):
                return rfc3339(datetime.fromisoformat(text.upper()))
        except (ValueError, OverflowError):
            pass
        raise Wrong("invalid_datetime", "A time with its offset is expected: 2026-01-31T12:00:00Z")

    return check


def email_check(_: Field) -> Check:
    """An address of mail in its normal form."""

    def check(value: object) -> object:
        text = string(value, 320).strip()
        try:
            return _address(text) if text else text
        except EmailNotValidError as error:
            raise Wrong("invalid_email", str(error)) from None

    return check


@lru_cache(maxsize=20_000)
def _address(text: str) -> str:
    """The address; what stands before the `@` is most often plain, and what stands behind it known already."""
    local, at, domain = text.rpartition("@")
    if at and len(local) <= MAX_LOCAL and len(text) <= MAX_ADDRESS and _DOT_ATOM.fullmatch(local):
        normalized = _of_domain(domain)
        if len(normalized) + len(local) <= MAX_ADDRESS:
            return f"{local}{normalized}"
    return validate_email(text, check_deliverability=False, test_environment=True).normalized


@lru_cache(maxsize=20_000)
def _of_domain(domain: str) -> str:
    return validate_email(f"a@{domain}", check_deliverability=False, test_environment=True).normalized[1:]


def url_check(_: Field) -> Check:
    """An address of the web."""

    def check(value: object) -> object:
        text = string(value, MAX_URL).strip()
        if text and not _is_url(text):
            raise Wrong("invalid_url", "A web address is expected: https://example.com/")
        return text

    return check


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    blank = any(character.isspace() for character in text)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not blank


def _choice(values: Sequence[str]) -> Check:
    known = frozenset(values)
    named = ", ".join(f"'{value}'" for value in values[:MAX_NAMED]) + (", …" if len(values) > MAX_NAMED else "")

    def check(value: object) -> object:
        if not isinstance(value, str):
            raise Wrong("wrong_type", f"One of the options is expected: {named}")
        if value not in known:
            raise Wrong("invalid_option", f"The value is not one of the options: {named}")
        return value

    return check


def select_check(field: Field) -> Check:
    """One of the options."""
    return _choice([option.value for option in field.options])


def stage_check(field: Field) -> Check:
    """One of the stages."""
    return _choice([stage.value for stage in field.stages])


def listed(check: Check, most: int) -> Check:
    """A list without repetitions, each item checked."""

    def check_all(value: object) -> object:
        if not isinstance(value, list):
            raise Wrong("wrong_type", "A list is expected")
        if len(value) > most:
            raise Wrong("too_many", f"At most {most} values are taken")
        return list(dict.fromkeys(check(item) for item in value))

    return check_all


def tag_check(field: Field) -> Check:
    """One tag."""

    def check(value: object) -> object:
        text = string(_cased(value, field.case), MAX_TAG).strip()
        if not text:
            raise Wrong("too_short", "A tag has at least one character")
        return text

    return check


def identifier(value: object) -> object:
    """An id in lower case."""
    try:
        return str(UUID(string(value, 45)))
    except ValueError:
        raise Wrong("invalid_id", "An id is expected") from None

"""Durations: ISO 8601 in, one form of it kept, compared by length.

Weeks, days, hours, minutes and seconds have a length; years and months have none and are not taken. A day is 24 hours.
"""

import re
from decimal import Decimal

MAX_SECONDS = 863_999_999_999
UNITS = {"D": 86400, "H": 3600, "M": 60, "S": 1}
CANONICAL = r"P(?=.)([0-9]{1,7}D)?(T(?=.)([0-9]{1,2}H)?([0-9]{1,2}M)?([0-9]{1,2}([.][0-9]{1,3})?S)?)?"

_NUMBER = r"([0-9]{1,12}(?:[.,][0-9]{1,9})?)"
_GIVEN = re.compile(
    rf"P(?=.)(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?", re.ASCII
)
_WEIGHTS = (604800, 86400, 3600, 60, 1)
_CANONICAL = re.compile(CANONICAL)
_PART = re.compile(r"([0-9.]+)([DHMS])")


def seconds(text: str) -> Decimal | None:
    """The length of a duration in seconds, to the millisecond; null where it is none, or too long."""
    found = _GIVEN.fullmatch(text.strip().upper())
    if found is None:
        return None
    parts = zip(found.groups(), _WEIGHTS, strict=True)
    total = sum((Decimal(part.replace(",", ".")) * weight for part, weight in parts if part), Decimal(0))
    return total.quantize(Decimal("0.001")) if total <= MAX_SECONDS else None


def canonical(length: Decimal) -> str:
    """The one form of a duration of so many seconds: `P1DT2H3M4.5S`, `PT0S`."""
    days, rest = divmod(length, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    shown = f"{rest:f}".rstrip("0").rstrip(".") if rest else ""
    time = "".join(f"{part}{unit}" for part, unit in ((hours, "H"), (minutes, "M"), (shown, "S")) if part)
    date = f"{days}D" if days else ""
    return f"P{date}T{time}" if time else f"P{date}" if date else "PT0S"


def canonical_seconds(text: str) -> Decimal | None:
    """The length of a duration in its one form; null for anything else."""
    if not _CANONICAL.fullmatch(text):
        return None
    return sum((Decimal(number) * UNITS[unit] for number, unit in _PART.findall(text)), Decimal(0))

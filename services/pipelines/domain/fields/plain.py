"""The types of one value: texts, numbers, times, money, addresses, JSON, and the button, which has none."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

from libs.common.errors import Fault
from libs.common.filters import Kind
from services.pipelines.domain.codes import CURRENCIES, REGIONS, decimals_of
from services.pipelines.domain.fields.base import Case, Field
from services.pipelines.domain.patterns import MAX_PATTERN, compile_pattern

MAX_TEXT = 100_000
MAX_NUMBER = 10**300
MAX_AMOUNT_DIGITS = 15
ADDRESS = ("line1", "line2", "city", "region", "postal_code", "country")

Length: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_TEXT)]
Number: TypeAlias = int | float


class TextField(Field, frozen=True, kw_only=True, tag="text"):
    """A line of text."""

    kind_of = Kind.TEXT
    may_be_unique = True
    may_be_searched = True

    min_length: Length | None = None
    max_length: Length | None = None
    pattern: Annotated[str, msgspec.Meta(max_length=MAX_PATTERN)] | None = None
    case: Case = "keep"

    def faults(self) -> Iterator[Fault]:
        """Lengths in order, and a pattern that compiles."""
        yield from super().faults()
        yield from _ordered(self.min_length, self.max_length, "/max_length", "min_length")
        if self.pattern is not None:
            yield from _pattern_faults(self.pattern)


class TextareaField(TextField, frozen=True, kw_only=True, tag="textarea"):
    """Text of several lines; `rich` where clients show it formatted, `collaborative` where it is a shared document."""

    may_be_unique = False
    may_be_indexed = False

    rich: bool = False
    collaborative: bool = False


class NumberField(Field, frozen=True, kw_only=True, tag="number"):
    """A number; `step` counts from `min`, or from 0."""

    kind_of = Kind.NUMBER
    may_be_unique = True
    fixed = ("kind",)

    kind: Literal["integer", "decimal", "percentage"] = "decimal"
    min: Number | None = None
    max: Number | None = None
    step: Number | None = None

    def faults(self) -> Iterator[Fault]:
        """Bounds in order, and a step that leads somewhere."""
        yield from super().faults()
        yield from _ordered(self.min, self.max, "/max", "min")
        for name in ("min", "max", "step"):
            if abs(getattr(self, name) or 0) > MAX_NUMBER:
                yield Fault(f"/{name}", "out_of_range", f"'{name}' is too large")
        if self.step is not None and self.step <= 0:
            yield Fault("/step", "out_of_range", "'step' is greater than 0")
        elif self.step is not None and self.kind == "integer" and self.step != int(self.step):
            yield Fault("/step", "invalid_value", "The step of an integer is an integer")


class BooleanField(Field, frozen=True, kw_only=True, tag="boolean"):
    """True or false."""

    kind_of = Kind.BOOLEAN


class DateField(Field, frozen=True, kw_only=True, tag="date"):
    """A calendar date, `2026-01-31`."""

    kind_of = Kind.DATE
    may_be_unique = True


class DatetimeField(Field, frozen=True, kw_only=True, tag="datetime"):
    """A moment, RFC 3339."""

    kind_of = Kind.DATETIME
    may_be_unique = True


class EmailField(Field, frozen=True, kw_only=True, tag="email"):
    """An e-mail address."""

    kind_of = Kind.TEXT
    may_be_unique = True
    may_be_searched = True


class UrlField(Field, frozen=True, kw_only=True, tag="url"):
    """A web address, http or https."""

    kind_of = Kind.TEXT
    may_be_unique = True
    may_be_searched = True


class CurrencyField(Field, frozen=True, kw_only=True, tag="currency"):
    """An amount of money, `{"amount": 12.5, "currency": "EUR"}`, exact in up to 15 digits.

    With `currency` all amounts are in that one. `decimals` is that of the currency (ISO 4217) unless it is given.
    """

    parts: ClassVar[Mapping[str, Kind]] = {"amount": Kind.NUMBER, "currency": Kind.TEXT}
    may_be_indexed = False

    currency: Annotated[str, msgspec.Meta(max_length=3)] | None = None
    decimals: Annotated[int, msgspec.Meta(ge=0, le=8)] | None = None

    def faults(self) -> Iterator[Fault]:
        """A currency that there is."""
        yield from super().faults()
        if self.currency is not None and self.currency not in CURRENCIES:
            yield Fault("/currency", "unknown_currency", f"'{self.currency}' is not a code of ISO 4217")

    def places(self, currency: str) -> int:
        """How many decimals an amount has at most."""
        return decimals_of(currency) if self.decimals is None else self.decimals


class AutoNumberField(Field, frozen=True, kw_only=True, tag="auto_number"):
    """A number that every new record gets, counted up: `INV-0042` with a prefix and a padding of 4."""

    kind_of = Kind.TEXT
    may_be_searched = True
    may_have_default = False

    prefix: Annotated[str, msgspec.Meta(max_length=20)] = ""
    padding: Annotated[int, msgspec.Meta(ge=0, le=18)] = 0

    def faults(self) -> Iterator[Fault]:
        """It is given to a record, so it cannot be asked for."""
        yield from super().faults()
        if self.required:
            yield Fault("/required", "not_applicable", "A field of type auto_number is always given")


class DurationField(Field, frozen=True, kw_only=True, tag="duration"):
    """A length of time, ISO 8601 without years and months: `P1DT2H`."""

    kind_of = Kind.DURATION
    may_be_indexed = False


class PhoneField(Field, frozen=True, kw_only=True, tag="phone"):
    """A telephone number, kept as E.164; `default_country` is that of numbers without a country code."""

    kind_of = Kind.TEXT
    may_be_unique = True
    may_be_searched = True
    may_have_default = False

    default_country: Annotated[str, msgspec.Meta(max_length=2)] | None = None

    def faults(self) -> Iterator[Fault]:
        """A country that there is."""
        yield from super().faults()
        if self.default_country is not None and self.default_country not in REGIONS:
            yield Fault("/default_country", "unknown_country", f"'{self.default_country}' is not a code of ISO 3166-1")


class AddressField(Field, frozen=True, kw_only=True, tag="address"):
    """A postal address in parts: line1, line2, city, region, postal_code, country (ISO 3166-1)."""

    parts: ClassVar[Mapping[str, Kind]] = dict.fromkeys(ADDRESS, Kind.TEXT)
    may_be_indexed = False
    may_be_searched = True
    may_have_default = False


class RatingField(Field, frozen=True, kw_only=True, tag="rating"):
    """So many of `max` stars."""

    kind_of = Kind.NUMBER
    max: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5


class JsonField(Field, frozen=True, kw_only=True, tag="json"):
    """Any JSON, at most 64 KiB of it, at most 32 levels deep."""

    may_be_indexed = False


class ButtonField(Field, frozen=True, kw_only=True, tag="button"):
    """An action that clients offer on a record; it has no value. `action` names it, `url` is where it leads."""

    may_be_indexed = False
    may_have_default = False

    action: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    url: Annotated[str, msgspec.Meta(max_length=2048)] | None = None

    def faults(self) -> Iterator[Fault]:
        """Without a value it cannot be required, and a link is one of the web."""
        yield from super().faults()
        if self.required:
            yield Fault("/required", "not_applicable", "A field of type button has no value")
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            yield Fault("/url", "invalid_url", "An http or https address is expected")


def _ordered(low: Number | None, high: Number | None, pointer: str, name: str) -> Iterator[Fault]:
    if low is not None and high is not None and low > high:
        yield Fault(pointer, "out_of_range", f"{high} is less than '{name}', which is {low}")


def _pattern_faults(pattern: str) -> Iterator[Fault]:
    try:
        compile_pattern(pattern)
    except ValueError as error:
        yield Fault("/pattern", "invalid_pattern", f"Not a regular expression in RE2 syntax: {error}")

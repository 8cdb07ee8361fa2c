"""Values with an inner form: money, telephone numbers, addresses, durations, ratings, any JSON.

Amounts of money have at most 15 digits, so that they are exact as JSON numbers in every reader.
"""

import re
from decimal import Decimal
from functools import lru_cache

import msgspec
import phonenumbers

from libs.common.filters import durations
from services.records.domain.codes import CURRENCIES, REGIONS, decimals_of
from services.records.domain.definitions import Field
from services.records.domain.values import Check, Wrong, finite, number_check, string

MAX_AMOUNT_DIGITS = 15
MAX_JSON = 64 * 1024
MAX_DEPTH = 32
ADDRESS = ("line1", "line2", "city", "region", "postal_code", "country")
MAX_ADDRESS_PART = 500

_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?")


def currency_check(field: Field) -> Check:
    """An amount with its currency, which may be left out where the field has one."""

    def check(value: object) -> object:
        given = _object(value, ("amount", "currency"))
        currency = given.get("currency", field.currency)
        wrong: dict[str, Wrong] = {}
        if not isinstance(currency, str) or currency not in CURRENCIES:
            wrong["currency"] = Wrong("unknown_currency", "A code of ISO 4217 is expected: EUR")
        elif field.currency not in (None, currency):
            wrong["currency"] = Wrong("wrong_currency", f"Amounts are in {field.currency} here")
        places = _places(field, currency if not wrong else None)
        try:
            amount = _amount(given.get("amount"), places)
        except Wrong as error:
            wrong["amount"] = error
        if wrong:
            raise Wrong("invalid_currency", "An amount with its currency is expected", wrong)
        return {"amount": amount, "currency": currency}

    return check


def _places(field: Field, currency: object) -> int:
    if field.decimals is not None:
        return field.decimals
    return decimals_of(currency) if isinstance(currency, str) else MAX_AMOUNT_DIGITS


def _amount(value: object, places: int) -> int | float:
    """An amount as a JSON number; with so few digits a double gives back the very decimal it was made of."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Wrong("wrong_type", "A number or a decimal text is expected")
    text = value if isinstance(value, str) else repr(value)
    if not _DECIMAL.fullmatch(text):
        raise Wrong("invalid_amount", "A decimal number is expected: 12.50")
    amount = Decimal(text).normalize()
    exponent = int(amount.as_tuple().exponent)
    if amount and max(amount.adjusted() + 1, 1) + max(0, -exponent) > MAX_AMOUNT_DIGITS:
        raise Wrong("too_many_digits", f"At most {MAX_AMOUNT_DIGITS} digits are taken")
    if -exponent > places:
        raise Wrong("too_many_decimals", f"At most {places} decimals are taken")
    return int(amount) if exponent >= 0 else float(amount)


def _object(value: object, keys: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Wrong("wrong_type", f"An object is expected, with {', '.join(keys)}")
    unknown = {key: Wrong("unknown_field", f"There is no part '{key}'") for key in value if key not in keys}
    if unknown:
        raise Wrong("unknown_field", "Some parts are not known", {_step(key): it for key, it in unknown.items()})
    return value


def _step(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def phone_check(field: Field) -> Check:
    """A telephone number, kept as E.164."""

    def check(value: object) -> object:
        text = string(value, 64).strip()
        return _e164(text, field.default_country) if text else text

    return check


@lru_cache(maxsize=20_000)
def _e164(text: str, country: str | None) -> str:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        wanted = "+49 30 123456" if country is None else f"+49 30 123456, or one of {country}"
        raise Wrong("invalid_phone", f"A telephone number is expected: {wanted}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def postal_check(_: Field) -> Check:
    """An address in parts; one without any is none."""

    def check(value: object) -> object:
        given = _object(value, ADDRESS)
        wrong: dict[str, Wrong] = {}
        found: dict[str, str] = {}
        for part in ADDRESS:
            try:
                if given.get(part) is not None and (text := _part(part, given[part])):
                    found[part] = text
            except Wrong as error:
                wrong[part] = error
        if wrong:
            raise Wrong("invalid_address", "Parts of the address are wrong", wrong)
        return found or None

    return check


def _part(part: str, value: object) -> str:
    text = string(value, MAX_ADDRESS_PART).strip()
    if part == "country" and text:
        text = text.upper()
        if text not in REGIONS:
            raise Wrong("unknown_country", "A code of ISO 3166-1 is expected: DE")
    return text


def duration_check(_: Field) -> Check:
    """A length of time in its one form."""

    def check(value: object) -> object:
        text = string(value, 100).strip()
        length = durations.seconds(text)
        if text and length is None:
            raise Wrong("invalid_duration", "A duration without years and months is expected: P1DT2H")
        return text if length is None else durations.canonical(length)

    return check


def rating_check(field: Field) -> Check:
    """So many stars."""
    bounds = msgspec.structs.replace(field, kind="integer", min=0, max=field.max or 5, step=None)
    return number_check(bounds)


def json_check(_: Field) -> Check:
    """Any JSON that is neither too deep nor too large."""

    def check(value: object) -> object:
        check_json(value, MAX_JSON)
        return value

    return check


def check_json(value: object, most: int) -> str:
    """The text of JSON of at most so many bytes."""
    _check_levels(value, MAX_DEPTH)
    text = msgspec.json.encode(value)
    if len(text) > most:
        raise Wrong("too_large", f"At most {most} bytes of JSON are taken")
    return text.decode()


def _check_levels(value: object, levels: int) -> None:
    match value:
        case str():
            string(value, MAX_JSON)
        case bool():
            return
        case int() | float():
            finite(value, False)
        case list() | dict():
            if not levels:
                raise Wrong("too_deep", f"At most {MAX_DEPTH} levels are taken")
            for key in value if isinstance(value, dict) else ():
                string(key, MAX_JSON)
            for item in value.values() if isinstance(value, dict) else value:
                _check_levels(item, levels - 1)


def given_check(_: Field) -> Check:
    """What clients cannot give."""

    def refuse(value: object) -> object:
        raise Wrong("read_only", "The value is given by the platform")

    return refuse


def nothing_check(_: Field) -> Check:
    """What has no value."""

    def refuse(value: object) -> object:
        raise Wrong("no_value", "A button has no value")

    return refuse

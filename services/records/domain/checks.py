"""Which check goes with which type of field."""

from collections.abc import Callable

from services.records.domain.definitions import Field
from services.records.domain.structures import (
    currency_check,
    duration_check,
    given_check,
    json_check,
    nothing_check,
    phone_check,
    postal_check,
    rating_check,
)
from services.records.domain.values import (
    MAX_RELATED,
    MAX_TAGS,
    Check,
    boolean_check,
    calendar_date,
    email_check,
    identifier,
    listed,
    moment,
    number_check,
    select_check,
    stage_check,
    tag_check,
    text_check,
    url_check,
)

MAX_USERS = 100
MAX_FILES = 100


def compile_check(field: Field) -> Check:
    """The check of a field's values. A type that is not known here takes any JSON."""
    make = _TYPES.get(field.type)
    return make(field) if make else lambda value: value


_TYPES: dict[str, Callable[[Field], Check]] = {
    "text": text_check,
    "textarea": text_check,
    "number": number_check,
    "boolean": boolean_check,
    "date": calendar_date,
    "datetime": moment,
    "email": email_check,
    "url": url_check,
    "select": select_check,
    "multiselect": lambda field: listed(select_check(field), MAX_RELATED),
    "tags": lambda field: listed(tag_check(field), MAX_TAGS),
    "stage": stage_check,
    "relation": lambda field: listed(identifier, MAX_RELATED) if field.many else identifier,
    "user": lambda field: listed(identifier, MAX_USERS) if field.many else identifier,
    "file": lambda field: listed(identifier, MAX_FILES) if field.many else identifier,
    "currency": currency_check,
    "phone": phone_check,
    "address": postal_check,
    "duration": duration_check,
    "rating": rating_check,
    "json": json_check,
    "auto_number": given_check,
    "formula": given_check,
    "lookup": given_check,
    "rollup": given_check,
    "button": nothing_check,
}

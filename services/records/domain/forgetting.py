"""What is left of values once records that they mention are gone for good."""

from collections.abc import Container, Iterable
from uuid import UUID


def without_ids(value: object, gone: Container[str]) -> object:
    """A JSON value without some ids: out of lists, and null where one stood alone."""
    match value:
        case str():
            return None if value in gone else value
        case list():
            return [without_ids(item, gone) for item in value if not (isinstance(item, str) and item in gone)]
        case dict():
            return {name: without_ids(item, gone) for name, item in value.items()}
    return value


def pattern_of(ids: Iterable[UUID]) -> str:
    """A regular expression that any text matches which has one of the ids in it."""
    return "|".join(str(one) for one in ids)

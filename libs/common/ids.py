"""Identifiers: UUIDv7 (RFC 9562), so that ids grow with time."""

from uuid import UUID

import uuid_utils.compat

from libs.common.errors import NotFound

NIL = UUID(int=0)


def new_id() -> UUID:
    """A new UUIDv7."""
    return uuid_utils.compat.uuid7()


def parse_id(text: str) -> UUID:
    """The UUID of a path segment; anything else names nothing that exists."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None

"""Lists: bounded pages with an opaque keyset cursor, so that depth costs nothing."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Generic, Literal, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid

T = TypeVar("T")
R = TypeVar("R")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
Count: TypeAlias = Literal["none", "estimated", "exact"]


class Page(msgspec.Struct, Generic[T], omit_defaults=True):
    """One page; `next_cursor` is null on the last. `count` is there when it was asked for."""

    items: list[T]
    next_cursor: str | None
    count: int | None = None


def check_limit(limit: int) -> int:
    """A limit within 1 to 200; outside is an error, not clamped."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(errors=[Fault("/limit", "out_of_range", f"'limit' is from 1 to {MAX_LIMIT}")])
    return limit


def after_id(cursor: str | None) -> UUID:
    """The id that a list ordered by id goes on after; the nil UUID at the beginning."""
    if cursor is None:
        return UUID(int=0)
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error):
        raise Invalid(errors=[Fault("/cursor", "invalid_cursor", "The cursor is not one of this list")]) from None


def by_id(
    rows: Sequence[R], limit: int, key: Callable[[R], UUID], shape: Callable[[R], T], count: int | None = None
) -> Page[T]:
    """A page of a list ordered by id, from up to `limit + 1` rows; with the count where it was asked for."""
    more = len(rows) > limit
    shown = rows[:limit]
    cursor = base64.urlsafe_b64encode(key(shown[-1]).bytes).decode().rstrip("=") if more else None
    return Page([shape(row) for row in shown], cursor, count)

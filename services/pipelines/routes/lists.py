from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from libs.common import pages

R = TypeVar("R")
T = TypeVar("T")

Count = pages.Count


def page(
    rows: Sequence[R], limit: int, key: Callable[[R], UUID], shape: Callable[[R], T], count: int | None
) -> pages.Page[T]:
    """A page of a list ordered by id, with the count where it was asked for."""
    shown = pages.by_id(rows, limit, key, shape)
    shown.count = count
    return shown

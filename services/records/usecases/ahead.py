"""Making the next part ready while the database works on the one before it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from libs.common.resilience import end

T = TypeVar("T")
R = TypeVar("R")

PART = 250
"""So much is one part: few enough to leave others their turn, so many that each statement is worth its while."""


def parts(items: Sequence[T]) -> list[Sequence[T]]:
    """The items in parts, of which none is empty."""
    return [items[begin : begin + PART] for begin in range(0, len(items), PART)]


async def ahead(
    items: Sequence[Sequence[T]], work: Callable[[Sequence[T]], Coroutine[Any, Any, R]]
) -> AsyncGenerator[tuple[Sequence[T], R], None]:
    """Each part with what the work made of it; the next one's is under way while this one is used."""
    task: asyncio.Task[Any] | None = None
    try:
        for place, part in enumerate(items):
            made = await task if task else await work(part)
            task = asyncio.create_task(work(items[place + 1])) if place + 1 < len(items) else None
            yield part, made
    finally:
        if task is not None:
            await end([task])


async def beside(items: Sequence[T], make: Callable[[Sequence[T]], R], send: Callable[[R], Awaitable[None]]) -> None:
    """Makes something of each part and sends it, one after the other; the next is made while one is on its way."""
    if len(items) <= PART:
        return await send(make(items)) if items else None
    under_way: asyncio.Future[None] | None = None
    try:
        for part in parts(items):
            made = make(part)
            if under_way is not None:
                await under_way
            under_way = asyncio.ensure_future(_sent(send, made))
            await asyncio.sleep(0)  # It goes out before the next is made.
        if under_way is not None:
            await under_way
    except BaseException:
        if under_way is not None:
            under_way.cancel()
            await asyncio.gather(under_way, return_exceptions=True)
        raise


async def _sent(send: Callable[[R], Awaitable[None]], made: R) -> None:
    await send(made)

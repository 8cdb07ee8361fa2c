"""Deadlines, and retries with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015)."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import structlog

from libs.common.errors import Unavailable

T = TypeVar("T")
log = structlog.get_logger()


@asynccontextmanager
async def deadline(seconds: float, what: str) -> AsyncIterator[None]:
    """Bounds a block by time; over it is `Unavailable`, naming what did not answer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Unavailable(f"{what} did not answer within {seconds:g} s") from None


def backoff(base: float = 0.1, cap: float = 5.0) -> Iterator[float]:
    """Endless delays in seconds, uniform between 0 and an exponentially growing bound."""
    bound = base
    while True:
        yield random.uniform(bound / 10, bound)
        bound = min(cap, bound * 2)


async def keep_running(name: str, work: Callable[[], Awaitable[None]], cap: float = 5.0) -> None:
    """Runs a background loop for ever: when it fails it is logged and begun anew after a backoff."""
    delays = backoff(cap=cap)
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await log.awarning("background loop failed", loop=name, error=repr(error))
        if asyncio.get_running_loop().time() - started > 60:
            delays = backoff(cap=cap)
        await asyncio.sleep(next(delays))


async def woken(wake: asyncio.Event, seconds: float) -> None:
    """Returns when the event is set, and after so many seconds in any case."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()


async def end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancels tasks until they have ended.

    Once is not enough: before Python 3.12 `asyncio.wait_for` may lose a cancellation, and nats-py turns one into an
    error of its own while it publishes.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
    await asyncio.gather(*tasks, return_exceptions=True)

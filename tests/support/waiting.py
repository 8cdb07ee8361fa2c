"""Waiting for a condition with a deadline, instead of sleeping for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_STEP = 0.02
PATIENCE = 60.0
"""Seconds; only a broken machine is given up on. How long things take is measured by the benchmark."""


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s: {condition}"
        time.sleep(_STEP)


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float = PATIENCE) -> None:
    """Return as soon as the awaited condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s: {condition}"
        await asyncio.sleep(_STEP)

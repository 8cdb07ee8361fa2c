import asyncio
import itertools
from contextlib import suppress

import pytest

from libs.common.errors import Unavailable
from libs.common.resilience import backoff, deadline, end, keep_running


async def test_a_deadline_names_what_did_not_answer() -> None:
    """A block over its time is `Unavailable`, one within it is not touched."""
    with pytest.raises(Unavailable, match=r"the oracle did not answer within 0\.01 s"):
        async with deadline(0.01, "the oracle"):
            await asyncio.Event().wait()
    async with deadline(1, "the oracle"):
        pass


def test_delays_grow_to_a_cap() -> None:
    """Each delay lies below its bound, which doubles up to the cap."""
    delays = list(itertools.islice(backoff(0.1, 1.0), 20))
    bounds = [min(1.0, 0.1 * 2**i) for i in range(20)]
    assert all(0 < delay <= bound for delay, bound in zip(delays, bounds, strict=True))
    assert len(set(delays)) == 20


async def test_a_loop_that_fails_begins_anew() -> None:
    """Work that fails is done again until it is cancelled."""
    tries = asyncio.Queue[int]()

    async def work() -> None:
        tries.put_nowait(1)
        raise ValueError

    task = asyncio.create_task(keep_running("test", work, cap=0.01))
    for _ in range(3):
        await asyncio.wait_for(tries.get(), 60)
    await end([task])
    assert task.cancelled()


async def test_a_task_that_loses_a_cancellation_is_ended_too() -> None:
    """A library that swallows one cancellation does not hold shutdown up."""
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        swallowed += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(end([task]), 60)
    assert (swallowed, task.cancelled()) == (1, True)


async def test_ending_tasks_that_failed_raises_nothing() -> None:
    """A task that ended with an error is done, and its error is not left unread."""

    async def fail() -> None:
        raise ValueError

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    await end([task])
    await end([])

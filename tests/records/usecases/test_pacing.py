"""How much a job does at once."""

import asyncio

from services.records.usecases.pacing import FEWEST, MOST, SECONDS, Pace


def test_a_batch_is_what_takes_some_milliseconds() -> None:
    """One that took too long is followed by as many as fit, a quick one by twice as many, within bounds."""
    pace = Pace(asyncio.Lock(), 800)
    pace.learn(SECONDS * 4)
    assert pace.size == 200
    pace.learn(SECONDS / 100)
    assert pace.size == 400
    for took, bound in ((60.0, FEWEST), (0.0, MOST)):
        for _ in range(20):
            pace.learn(took)
        assert pace.size == bound


async def test_jobs_of_the_same_records_take_turns() -> None:
    """While one has a batch, the other waits for its turn; it gets it also where the batch fails."""
    turn, order, begun = asyncio.Lock(), list[str](), asyncio.Event()

    async def first() -> None:
        async with Pace(turn).batch():
            begun.set()
            order.append("first begins")
            for _ in range(10):
                await asyncio.sleep(0)
            order.append("first ends")
            raise OSError

    async def second() -> None:
        await begun.wait()
        async with Pace(turn).batch():
            order.append("second begins")

    failed, _ = await asyncio.gather(first(), second(), return_exceptions=True)
    assert isinstance(failed, OSError)
    assert order == ["first begins", "first ends", "second begins"]

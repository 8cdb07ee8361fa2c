"""Pages of the stream that are read once for all who come back."""

import asyncio

import pytest

from libs.common.errors import Unavailable
from services.realtime.storage import stream
from services.realtime.usecases.past import Past
from tests.realtime.support import World

CHANGES = 12
PAGE = 5


@pytest.fixture
async def made(world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The positions of a tenant's changes, which are read in small pages."""
    monkeypatch.setattr(stream.read_to, "__defaults__", (PAGE,))
    record = await world.create(world.pipeline(), name="Ann", announce=False)
    return [await world.update(record, {"score": number}) for number in range(CHANGES)]


async def test_a_crowd_reads_a_page_once(world: World, made: list[int]) -> None:
    """All who come at once, from whichever position of a stretch, are given the same page of it."""
    past, era = Past(world.bus), object()
    wanted = [made[0], made[1], made[3]] * 5
    pages = await asyncio.gather(*(past.page(era, world.tenant, after, made[-1]) for after in wanted))
    assert len(set(map(id, pages))) == 1
    assert [one.seq for one in pages[0].told("tenant", made[2])] == made[3 : PAGE + 1]
    assert (pages[0].start, pages[0].end) == (made[0], made[PAGE])
    behind = await past.page(era, world.tenant, pages[0].end, made[-1])
    assert (behind.start, behind.end) == (made[PAGE], made[2 * PAGE])


async def test_a_page_is_of_one_era(world: World, made: list[int]) -> None:
    """What was read before the stream was made anew, or was forgotten, is read again."""
    past, era = Past(world.bus), object()
    page = await past.page(era, world.tenant, made[0], made[-1])
    assert await past.page(object(), world.tenant, made[0], made[-1]) is not page
    assert await past.page(era, world.tenant, made[1], made[-1]) is page
    past.forget(era)
    assert await past.page(era, world.tenant, made[1], made[-1]) is not page


async def test_pages_are_bounded(world: World, made: list[int]) -> None:
    """Over the bound the page goes that was longest of no use, and is read again when it is wanted."""
    past, era = Past(world.bus, max_bytes=1), object()
    first = await past.page(era, world.tenant, made[0], made[-1])
    second = await past.page(era, world.tenant, made[PAGE], made[-1])
    assert await past.page(era, world.tenant, made[PAGE], made[-1]) is second
    again = await past.page(era, world.tenant, made[0], made[-1])
    assert again is not first
    assert [one.seq for one in again.told("tenant", 0)] == made[1 : PAGE + 1]


async def test_all_hear_of_a_stream_that_is_away(
    world: World, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for somebody else's reading learns that it failed, and does not begin in turn."""
    monkeypatch.setattr(stream, "SECONDS", 0.5)
    past, era = Past(world.bus), object()
    waiting = [past.page(era, world.tenant, made[-1], made[-1] + 10**9) for _ in range(20)]
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in found)


async def test_a_reading_that_is_over_is_not_waited_for(world: World, made: list[int]) -> None:
    """Who comes at the moment when a reading of something else has ended begins one of their own."""
    past, era = Past(world.bus), object()
    over = asyncio.create_task(asyncio.sleep(0))
    await over
    past._reading[era] = over
    page = await past.page(era, world.tenant, made[PAGE], made[-1])
    assert page.start == made[PAGE]

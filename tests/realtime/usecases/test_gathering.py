"""Asking for many records at once."""

import asyncio
from functools import partial
from uuid import UUID

import msgspec
import pytest

from libs.common.errors import Unavailable
from libs.common.ids import new_id
from services.realtime.usecases import records
from services.realtime.usecases.gathering import AT_ONCE, Gathering
from tests.realtime.support import World


def gathering(world: World) -> Gathering[UUID]:
    return Gathering(partial(records.states, world.bus))


async def test_who_comes_at_once_is_asked_for_together(world: World) -> None:
    """So many as wait for so many records cost a question for each hundred of them; what is absent is None."""
    states, pipeline = gathering(world), world.pipeline()
    made = [await world.create(pipeline, announce=False, score=n) for n in range(AT_ONCE + 20)]
    wanted = [it["id"] for it in made] * 3 + [str(new_id())]
    found = await asyncio.gather(*(states.find(world.tenant, it) for it in map(UUID, wanted)))
    assert [it and msgspec.json.decode(it)["id"] for it in found] == [*wanted[:-1], None]
    assert world.questions == 2
    assert await states.find(new_id(), UUID(wanted[0])) is None
    await states.stop()


async def test_what_was_answered_is_not_kept(world: World) -> None:
    """Who comes later is told how the record is by then, and who comes when records is away that it is."""
    states = gathering(world)
    record = await world.create(world.pipeline(), announce=False, score=1)
    place = world.tenant, next(iter(world.records))
    before = await states.find(*place)
    record["data"]["score"] = 2
    after = await states.find(*place)
    assert [it and msgspec.json.decode(it)["data"] for it in (before, after)] == [{"score": 1}, {"score": 2}]
    world.away = Unavailable()
    with pytest.raises(Unavailable):
        await states.find(*place)
    world.away = None
    assert await states.find(*place) == after
    await states.stop()

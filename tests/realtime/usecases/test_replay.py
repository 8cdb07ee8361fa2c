"""Resuming: after a break every missed change comes, once and in order, or the client is told to read anew."""

import asyncio
import random
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.events import STREAM
from libs.common.ids import new_id
from ops.embedded import Nats, free_port, started
from services.realtime.settings import Settings
from services.realtime.storage import stream
from services.realtime.usecases import hub
from tests.realtime.support import Node, World, quiet, reader, running_node
from tests.support.issuer import issuing
from tests.support.waiting import eventually

CHANGES = 150


@pytest.fixture(params=[3, 500], ids=["from the stream", "from memory"])
def recent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many changes a node keeps in memory."""
    size: int = request.param
    monkeypatch.setattr(hub, "RECENT_CHANGES", size)
    return size


@pytest.mark.usefixtures("recent")
async def test_what_was_missed_comes_once_and_in_order(node: Node, world: World) -> None:
    """A client that resubscribes from where it was gets what it missed, and then what happens."""
    pipeline = world.pipeline()
    channel = f"pipeline:{pipeline}"
    async with node.live(world.token()) as keeps_the_feed_open:
        await keeps_the_feed_open.subscribe(channel)
        record = await world.create(pipeline, name="Ann")
        seen = (await keeps_the_feed_open.expect("record_created"))["seq"]
        missed = [await world.update(record, {"score": number}) for number in range(20)]
        await keeps_the_feed_open.expect("record_updated", seq=missed[-1])
        async with node.live(world.token()) as live:
            assert (await live.subscribe(channel, from_seq=seen))["seq"] == seen
            later = await world.update(record, {"score": 99})
            assert [(await live.expect("record_updated"))["seq"] for _ in range(21)] == [*missed, later]
            assert await quiet(live) == []


async def test_a_node_that_was_not_there_replays_as_well(node: Node, world: World) -> None:
    """The first subscriber of a tenant resumes from the stream alone."""
    pipeline = world.pipeline()
    record = await world.create(pipeline, name="Ann")
    missed = [await world.update(record, {"score": number}) for number in range(300)]
    async with node.live(world.token()) as live:
        await live.subscribe(f"pipeline:{pipeline}", from_seq=missed[9])
        assert [(await live.expect("record_updated"))["seq"] for _ in range(290)] == missed[10:]


@pytest.mark.usefixtures("recent")
async def test_what_was_missed_is_told_where_it_belongs(node: Node, world: World) -> None:
    """Resuming a record, a pipeline or one's own channel brings what is of that, and nothing else that was missed."""
    mine, other = world.pipeline(), world.pipeline()
    record, beside, elsewhere = [await world.create(one, name="Ann") for one in (mine, mine, other)]
    async with node.live(world.token()) as keeps_the_feed_open:
        start = (await keeps_the_feed_open.subscribe("tenant"))["seq"]
        made = [await world.update(one, {"score": n}) for n in range(4) for one in (record, beside, elsewhere)]
        await keeps_the_feed_open.expect("record_updated", seq=made[-1])
        for channel, of in (
            (f"record:{record['id']}", (record,)),
            (f"pipeline:{mine}", (record, beside)),
            ("tenant", (record, beside, elsewhere)),
            ("user", ()),
        ):
            async with node.live(world.token()) as live:
                await live.subscribe(channel, from_seq=start)
                frames = [frame for frame in await quiet(live) if "record" in frame]
            expected = [one["id"] for _ in range(4) for one in of]
            assert [frame["record"]["id"] for frame in frames] == expected, channel


async def test_replayed_changes_are_judged_like_live_ones(node: Node, world: World) -> None:
    """Rules, masks and filters hold for what is replayed."""
    pipeline = world.pipeline()
    token = world.token(reader(readable_fields=frozenset({"name", "score"})))
    start = await world.announce("created", {**await world.create(pipeline, name="x"), "id": str(new_id())})
    record = await world.create(pipeline, name="Ann", score=1, secret="hush")
    await world.update(record, {"score": 60})
    await world.update(record, {"score": 2})
    async with node.live(token) as live:
        high = {"field": "score", "op": "gt", "value": 10}
        await live.subscribe(f"pipeline:{pipeline}", filter=high, from_seq=start)
        frames = [frame for frame in await quiet(live) if frame["type"].startswith("record")]
    assert [frame["type"] for frame in frames] == ["record_entered", "record_left"]
    assert "hush" not in str(frames)


@pytest.mark.usefixtures("recent")
async def test_no_interleaving_loses_or_doubles_a_change(node: Node, world: World) -> None:
    """Clients that break off and resume at random moments, while changes are made, each see every change once."""
    pipeline = world.pipeline()
    channel = f"pipeline:{pipeline}"
    record = await world.create(pipeline, name="Ann")
    async with node.live(world.token()) as live:
        start = (await live.subscribe(channel))["seq"]
    made: list[int] = []

    async def make() -> None:
        for number in range(CHANGES):
            made.append(await world.update(record, {"score": number}))
            if number % 10 == 0:
                await asyncio.sleep(random.uniform(0, 0.02))

    async def follow(seed: int) -> list[int]:
        dice, seen, token = random.Random(seed), [start], world.token()
        while (left := CHANGES + 1 - len(seen)) > 0:
            async with node.live(token) as live:
                await live.subscribe(channel, from_seq=seen[-1])
                some = range(min(left, dice.randint(0, 40)))
                seen += [(await live.expect("record_updated"))["seq"] for _ in some]
                live._connection.transport.abort()
        return seen[1:]

    _, *followed = await asyncio.gather(make(), *(follow(seed) for seed in range(4)))
    assert followed == [made] * 4


async def test_a_position_that_is_too_old_must_resync(node: Node, world: World) -> None:
    """Where the stream has forgotten what came next the client is told so, and is not subscribed."""
    pipeline = world.pipeline()
    record = await world.create(pipeline, name="Ann")
    first = await world.update(record, {"score": 1})
    for number in range(5):
        last = await world.update(record, {"score": number})
    await world.bus.jetstream.purge_stream(STREAM, seq=last)
    async with node.live(world.token()) as live:
        channel = f"pipeline:{pipeline}"
        await live.send(type="subscribe", channel=channel, from_seq=first)
        assert (await live.expect("resync_required", channel=channel))["seq"] == last
        await world.update(record, {"score": 9})
        assert [f for f in await quiet(live) if f["type"] != "pong"] == []
        await live.subscribe(channel, from_seq=last - 1)
        await live.expect("record_updated", seq=last)


async def test_a_position_from_the_future_must_resync(node: Node, world: World) -> None:
    """A position that the stream never had is none to resume from."""
    pipeline = world.pipeline()
    position = await world.announce("created", await world.create(pipeline, name="x"))
    async with node.live(world.token()) as live:
        await live.send(type="subscribe", channel="tenant", from_seq=position + 1000)
        await live.expect("resync_required", channel="tenant")


async def test_a_position_of_another_tenants_change_is_as_good(node: Node, world: World) -> None:
    """`Change-Seq` may be anybody's position: what the reader has seen is not told again, what comes is."""
    pipeline = world.pipeline()
    await world.create(pipeline, name="Ann")
    other = new_id()
    theirs = await world.create(world.pipeline(tenant=other), tenant=other, name="x")
    position = await world.update(theirs, {"name": "y"})
    async with node.live(world.token()) as live:
        await live.subscribe("tenant", from_seq=position)
        await world.create(pipeline, name="Bob")
        assert (await live.expect("record_created"))["record"]["title"] == "Bob"
        assert await quiet(live) == []


async def test_a_broker_that_restarts_loses_nothing(settings: Settings, tenant: UUID, tmp_path: Path) -> None:
    """Across a restart of NATS an open socket gets every change once and in order."""
    server = Nats(tmp_path / "nats", free_port())
    server.prepare()
    spawned = started(server)
    async with issuing(server.url) as issuer:
        bus = Bus(server.url, "test world")
        await bus.start()
        world = World(bus, issuer, tenant)
        world.answer()
        await bus.ready()
        try:
            async with running_node(msgspec.structs.replace(settings, nats_url=server.url)) as node:
                pipeline = world.pipeline()
                async with node.live(world.token()) as live:
                    await live.subscribe(f"pipeline:{pipeline}")
                    record = await world.create(pipeline, name="Ann")
                    await live.expect("record_created")
                    made = [await world.update(record, {"score": 1})]
                    spawned.stop()
                    spawned = started(server)

                    async def back() -> bool:
                        try:
                            return (await stream.bounds(bus)).last >= made[0]
                        except Unavailable:
                            return False

                    await eventually(back)
                    made += [await world.update(record, {"score": number}) for number in range(2, 10)]
                    assert [(await live.expect("record_updated"))["seq"] for _ in made] == made
                    assert await quiet(live) == []
        finally:
            await bus.stop()
            spawned.stop()


async def test_a_stream_that_was_made_anew_must_resync(node: Node, world: World) -> None:
    """When the stream is lost, open subscriptions end with the order to read anew, and new ones work."""
    pipeline = world.pipeline()
    record = await world.create(pipeline, name="Ann")
    async with node.live(world.token()) as live:
        await live.subscribe("tenant")
        await world.update(record, {"score": 1})
        await live.expect("record_updated")
        config = (await world.bus.jetstream.stream_info(STREAM)).config
        await world.bus.jetstream.delete_stream(STREAM)
        await world.bus.jetstream.add_stream(config)
        await live.expect("resync_required", channel="tenant")
        await live.subscribe("tenant")
        await world.update(record, {"score": 2})
        await live.expect("record_updated")

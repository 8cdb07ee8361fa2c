"""Frames that are wrong, too many, too large or too slowly read."""

import msgspec
import pytest
from websockets.asyncio.client import connect

from millrace.client import Live
from services.realtime.settings import Settings
from tests.realtime.support import Node, World, close_code, quiet, running_node
from tests.support.waiting import eventually

BAD = [
    ("not json", "malformed-request"),
    ("[]", "validation-failed"),
    ("{}", "validation-failed"),
    ('{"type": "unheard-of"}', "validation-failed"),
    ('{"type": "subscribe"}', "validation-failed"),
    ('{"type": "subscribe", "channel": 5}', "validation-failed"),
    ('{"type": "subscribe", "channel": "tenant", "more": 1}', "validation-failed"),
    ('{"type": "subscribe", "channel": "tenant", "from_seq": -1}', "validation-failed"),
    ('{"type": "focus", "field": "a\\u0000"}', "malformed-request"),
    ("[" * 3000, "malformed-request"),
]


async def test_a_bad_frame_is_told_and_the_socket_goes_on(node: Node, world: World) -> None:
    """Whatever is sent, the answer is an error frame and the next frame is heard."""
    for text, code in BAD:
        async with node.live(world.token()) as live:
            await live._connection.send(text)
            assert (await live.expect("error"))["code"] == code, text[:80]
            assert await quiet(live) == [], text[:80]


async def test_an_error_names_its_operation_and_faults(node: Node, world: World) -> None:
    """A frame that is wrong is answered with its operation's id and a pointer to each fault."""
    async with node.live(world.token()) as live:
        await live.send(type="field_update", operation_id="one", field=5, value=1, extra=True)
        error = await live.expect("error", operation_id="one")
    assert {fault["pointer"] for fault in error["errors"]} == {"/field", "/extra"}


async def test_binary_frames_are_read_as_well(node: Node, world: World) -> None:
    """JSON in a binary message is JSON."""
    async with node.live(world.token()) as live:
        await live._connection.send(b'{"type": "ping"}')
        await live.expect("pong")


async def test_a_frame_that_is_too_large_closes(settings: Settings, world: World) -> None:
    """Over the bound the protocol itself ends the socket, with 1009."""
    bounded = msgspec.structs.replace(settings, max_frame_bytes=2048)
    async with running_node(bounded) as node, node.live(world.token()) as live:
        await live._connection.send("x" * 3000)
        assert await close_code(live) == 1009


@pytest.mark.parametrize("bound", [{"frame_rate": 1, "frame_burst": 5}, {"frame_rate_per_user": 1}])
async def test_too_many_frames_are_refused(settings: Settings, world: World, bound: dict[str, float]) -> None:
    """Over the rate of a socket, or of all its user's, frames are refused; those that come slowly are heard again."""
    bounded = msgspec.structs.replace(settings, **bound)
    async with running_node(bounded) as node, node.live(world.token()) as live:
        for _ in range(200):
            await live.send(type="ping")
        assert (await live.expect("error"))["code"] == "too-many-frames"

        async def heard() -> bool:
            await live.send(type="ping")
            return (await live.receive())["type"] == "pong"

        await eventually(heard)


async def test_too_many_joins_are_refused(settings: Settings, world: World) -> None:
    """Over the rate of a user no channel is joined, on none of their sockets, and these go on; others are let in."""
    bounded, token = msgspec.structs.replace(settings, join_rate_per_user=0.0001), world.token()
    async with running_node(bounded) as node, node.live(token) as one, node.live(token) as two:
        await one.subscribe("tenant")
        await two.send(type="subscribe", channel="tenant")
        assert (await two.expect("error", channel="tenant"))["code"] == "too-many-joins"
        await two.send(type="ping")
        await two.expect("pong")
        async with node.live(world.token()) as other:
            await other.subscribe("tenant")


async def test_a_slow_reader_is_cut_off_and_holds_nobody_up(settings: Settings, world: World) -> None:
    """A socket that does not read is told to resync and closed with 4408, while another gets every change at once."""
    pipeline = world.pipeline()
    bounded = msgspec.structs.replace(settings, queue_frames=50, slow_reader_seconds=60)
    async with (
        running_node(bounded) as node,
        connect(node.url.replace("http", "ws") + "/ws", max_queue=1, compression=None) as connection,
        node.live(world.token()) as quick,
    ):
        slow = Live(connection)
        await slow.send(type="authenticate", token=world.token())
        await slow.subscribe(f"pipeline:{pipeline}")
        await quick.subscribe(f"pipeline:{pipeline}")
        record = await world.create(pipeline, name="x" * 100_000)
        for number in range(300):
            await world.update(record, {"score": number})
            frame = await quick.expect("record_updated")
            assert frame["record"]["data"]["score"] == number
        assert await close_code(slow) == 4408
        assert slow.unread[-1]["type"] == "resync_required"


async def test_a_reader_that_is_stuck_is_abandoned(settings: Settings, world: World) -> None:
    """A socket that takes not even its last frame is forgotten after a while."""
    pipeline = world.pipeline()
    bounded = msgspec.structs.replace(settings, queue_frames=20, slow_reader_seconds=0.2)
    async with (
        running_node(bounded) as node,
        connect(node.url.replace("http", "ws") + "/ws", max_queue=1, compression=None, close_timeout=0.1) as connection,
    ):
        stuck = Live(connection)
        await stuck.send(type="authenticate", token=world.token())
        await stuck.subscribe(f"pipeline:{pipeline}")
        record = await world.create(pipeline, name="x" * 200_000)
        registry = node.app._context.live.registry

        async def forgotten() -> bool:
            await world.update(record, {"score": 1})
            return not registry.of(world.tenant)

        await eventually(forgotten)


async def test_a_server_that_ends_says_when_to_come_back(settings: Settings, world: World) -> None:
    """At shutdown each socket gets a hint that spreads the rush, and 1012."""
    async with running_node(settings) as node, node.live(world.token()) as live:
        node.server.should_exit = True
        hint = await live.expect("reconnect")
        assert 0 <= hint["after_ms"] <= settings.reconnect_spread_seconds * 1000
        assert await close_code(live) == 1012

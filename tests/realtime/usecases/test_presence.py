"""Presence: who is in a channel, on whichever node, and what happens when a node or Redis goes away."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from libs.common.ids import new_id
from millrace.client import Live
from ops.embedded import Valkey, free_port, started
from services.realtime.domain.channels import Channel
from services.realtime.settings import Settings
from services.realtime.usecases.subscriptions import subscribe
from tests.realtime.support import World, claims, process, quiet, running_node
from tests.support.waiting import eventually


def who(frame: dict[str, Any]) -> set[str]:
    return {one["user"]["id"] for one in frame["presence"]}


@pytest.fixture
def brisk(settings: Settings) -> Settings:
    """Settings with a short lease."""
    return msgspec.structs.replace(settings, presence_lease_seconds=1.5)


async def test_presence_spans_the_nodes(settings: Settings, world: World) -> None:
    """Users on two nodes see each other come, be there, and leave by unsubscribing or by closing."""
    record = await world.create(world.pipeline(), name="Ann")
    channel, anns, bobs = f"record:{record['id']}", world.token(name="Ann"), world.token(name="Bob")
    ann, bob = claims(anns)["sub"], claims(bobs)["sub"]
    async with running_node(settings) as here, running_node(settings) as there, here.live(anns) as first:
        assert who(await first.subscribe(channel)) == {ann}
        async with there.live(bobs) as second:
            assert who(await second.subscribe(channel)) == {ann, bob}
            joined = await first.expect("presence_join", channel=channel)
            assert joined["user"] == {"id": bob, "name": "Bob"}
            await second.send(type="unsubscribe", channel=channel)
            assert (await first.expect("presence_leave"))["connection"] == joined["connection"]
            await second.subscribe(channel)
            await first.expect("presence_join")
        await first.expect("presence_leave")
        assert await quiet(first) == []


async def test_one_does_not_hear_of_oneself(settings: Settings, world: World) -> None:
    """Coming, and subscribing anew with another filter, tells the client nothing of itself and others nothing twice."""
    pipeline = world.pipeline()
    async with running_node(settings) as node, node.live(world.token()) as one, node.live(world.token()) as other:
        for live in (one, other, one):
            await live.subscribe(f"pipeline:{pipeline}", filter={"field": "score", "value": 1})
        assert [f["type"] for f in await quiet(one)] == ["presence_join"]
        assert [f["type"] for f in await quiet(other)] == []


async def test_a_join_that_is_given_up_leaves_nothing(settings: Settings, world: World, redis_url: str) -> None:
    """Who goes while they are being entered is in nobody's list, and nothing of the channel is kept for them."""
    async with Redis.from_url(redis_url) as redis, running_node(settings) as node, node.live(world.token()) as live:
        use = node.app._context.live
        [connection] = use.registry.of(world.tenant)
        await redis.execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
        try:
            joining = asyncio.create_task(subscribe(use, connection, Channel("tenant"), None, None, 9))
            while not use.presence._views:
                await asyncio.wait({joining}, timeout=0.001)
            while not joining.done():  # The client of Redis may swallow one, as it begins to wait.
                joining.cancel()
                await asyncio.wait({joining}, timeout=0.02)
            assert joining.cancelled()
            assert (use.presence._views, use.hubs.get(world.tenant)) == ({}, None)
        finally:
            await redis.execute_command("CLIENT", "UNPAUSE")

        async def erased() -> bool:
            return not await redis.exists(f"presence:{world.tenant}:tenant")

        await eventually(erased)
        assert who(await live.subscribe("tenant")) == {str(connection.principal.id)}


async def test_presence_is_of_one_tenant(settings: Settings, world: World) -> None:
    """In the channel `tenant` another tenant's users are neither listed nor announced."""
    theirs = new_id()
    async with running_node(settings) as node, node.live(world.token()) as mine:
        await mine.subscribe("tenant")
        async with node.live(world.token(tenant=theirs)) as other:
            assert len((await other.subscribe("tenant"))["presence"]) == 1
        assert await quiet(mine) == []


async def test_focus_crosses_nodes(settings: Settings, world: World) -> None:
    """Focus is relayed from node to node."""
    record = await world.create(world.pipeline(), name="Ann")
    channel = f"record:{record['id']}"
    async with (
        running_node(settings) as here,
        running_node(settings) as there,
        here.live(world.token()) as first,
        there.live(world.token()) as second,
    ):
        await first.subscribe(channel)
        await second.subscribe(channel)
        await second.send(type="focus", field="name")
        assert (await first.expect("focus"))["field"] == "name"


async def test_a_crashed_nodes_users_leave_with_its_lease(brisk: Settings, world: World) -> None:
    """Killing a node takes its users away from the others, after the lease and once, and from later lists."""
    record = await world.create(world.pipeline(), name="Ann")
    channel, anns, bobs = f"record:{record['id']}", world.token(), world.token()
    async with running_node(brisk) as node, node.live(anns) as first:
        await first.subscribe(channel)
        with process(brisk) as (url, crashing):
            async with Live.open(url, bobs) as second:
                await second.subscribe(channel)
                joined = await first.expect("presence_join")
                crashing.kill()
                await first.expect("presence_leave", connection=joined["connection"])
        async with node.live(world.token()) as third:
            assert claims(bobs)["sub"] not in who(await third.subscribe(channel))


async def test_without_redis_presence_is_empty_and_the_rest_goes_on(
    brisk: Settings, world: World, tmp_path: Path
) -> None:
    """When Redis is away subscriptions work, nobody is listed, and changes arrive; when it is back, people are."""
    server = Valkey(tmp_path / "valkey", free_port())
    server.prepare()
    spawned = started(server)
    pipeline = world.pipeline()
    try:
        async with running_node(msgspec.structs.replace(brisk, redis_url=server.url)) as node:
            spawned.stop()
            async with node.live(world.token()) as live:
                assert (await live.subscribe(f"pipeline:{pipeline}"))["presence"] == []
                await world.create(pipeline, name="Ann")
                await live.expect("record_created")
                spawned = started(server)

                async def listed() -> bool:
                    return bool((await live.subscribe("tenant"))["presence"])

                await eventually(listed)
    finally:
        spawned.stop()


async def test_crowds_are_not_announced(settings: Settings, world: World) -> None:
    """Beyond a bound the list is cut off, and comings and goings are silent."""
    few = msgspec.structs.replace(settings, presence_members=2)
    async with running_node(few) as node, node.live(world.token()) as one, node.live(world.token()) as two:
        await one.subscribe("tenant")
        await two.subscribe("tenant")
        await one.expect("presence_join")
        async with node.live(world.token()) as three:
            assert len((await three.subscribe("tenant"))["presence"]) == 2
        assert await quiet(two) == []

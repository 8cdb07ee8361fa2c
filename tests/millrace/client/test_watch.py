"""Following changes with the client, through breaks, against a node of realtime."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import msgspec
import pytest

from libs.common.bus import Bus
from libs.common.ids import new_id
from millrace.client import Api, Change, Refused, watch
from services.realtime.settings import Settings
from tests.realtime.support import Node, World, reader, running_node
from tests.support.issuer import issuing
from tests.support.postgres import Database


@pytest.fixture
async def world(nats_url: str) -> AsyncIterator[World]:
    """What the other services say."""
    async with issuing(nats_url) as issuer:
        bus = Bus(nats_url, "test world")
        await bus.start()
        world = World(bus, issuer, new_id())
        world.answer()
        await bus.ready()
        await bus.client.flush()
        yield world
        await bus.stop()


@pytest.fixture
async def node(database: Database, nats_url: str, redis_url: str, world: World) -> AsyncIterator[Node]:
    """A node that sends its sockets away gently, and at once."""
    settings = Settings(
        port=0, database_url=database.dsn("realtime"), nats_url=nats_url, redis_url=redis_url,
        sealing_secret="sealing-secret-of-tests", reconnect_spread_seconds=0.1,
    )  # fmt: skip
    async with running_node(msgspec.structs.replace(settings)) as node:
        yield node


async def some(changes: Any, number: int) -> list[Change]:
    """The next changes."""
    async with asyncio.timeout(60):
        return [await anext(changes) for _ in range(number)]


async def test_changes_go_on_after_breaks(node: Node, world: World) -> None:
    """Whatever happens while the socket is sent away or breaks comes after it, once and in order, as typed records."""
    pipeline = world.pipeline()
    async with Api(node.url) as api:
        api.token = world.token()
        start = await world.announce("created", await world.create(pipeline, announce=False, name="x"))
        async with aclosing(watch(api, f"pipeline:{pipeline}", since=start, spread=0.1)) as changes:
            record = await world.create(pipeline, name="Ann", score=1)
            (made,) = await some(changes, 1)
            assert made.record is not None
            assert (made.kind, made.id, made.record.data["name"]) == ("created", UUID(record["id"]), "Ann")
            expected = []
            for number in range(6):
                node.app.dismiss()
                expected += [await world.update(record, {"score": number * 10 + one}) for one in (2, 3)]
                assert [one.seq for one in await some(changes, 2)] == expected[-2:]
            await world.delete(record)
            (gone,) = await some(changes, 1)
            assert gone.kind == "deleted"


async def test_a_filter_is_a_view(node: Node, world: World) -> None:
    """With a filter records enter and leave, and of one that left only its id is told."""
    pipeline = world.pipeline()
    async with Api(node.url) as api:
        api.token = world.token()
        record = await world.create(pipeline, name="Ann", score=1)
        where = {"field": "score", "op": "gt", "value": 5}
        async with aclosing(watch(api, f"pipeline:{pipeline}", where=where, since=world.bus.position)) as changes:
            await world.update(record, {"score": 9})
            await world.update(record, {"score": 2})
            entered, left = await some(changes, 2)
            assert (entered.kind, entered.changed) == ("entered", ("score",))
            assert (left.kind, left.record, left.id) == ("left", None, entered.id)


async def test_what_is_too_old_is_to_be_read_anew(node: Node, world: World) -> None:
    """A position that the stream does not have is told as `resync`, and changes go on from there."""
    pipeline = world.pipeline()
    async with Api(node.url) as api:
        api.token = world.token()
        async with aclosing(watch(api, f"pipeline:{pipeline}", since=10**12)) as changes:
            (first,) = await some(changes, 1)
            assert (first.kind, first.id) == ("resync", None)
            following = asyncio.create_task(some(changes, 1))
            await world.create(pipeline, name="Ann")
            assert [one.kind for one in await following] == ["created"]


async def test_a_refusal_is_raised(node: Node, world: World) -> None:
    """Who may not read the pipeline gets an exception, not silence."""
    async with Api(node.url) as api:
        api.token = world.token(reader(new_id()))
        with pytest.raises(Refused) as caught:
            await some(watch(api, f"pipeline:{world.pipeline()}"), 1)
        assert caught.value.code == "forbidden"

"""Locks of fields: who gets them, who is told, and how they end."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from libs.common.errors import Conflict, Forbidden, Unavailable
from millrace.client import Live
from ops.embedded import Valkey, free_port, started
from services.realtime.settings import Settings
from services.realtime.usecases import locks
from tests.realtime.support import Json, Node, World, process, quiet, reader, running_node
from tests.support.waiting import eventually


@pytest.fixture
async def record(world: World) -> Json:
    """A record with a field that some may not see."""
    return await world.create(world.pipeline(), name="Ann", secret="x")


@pytest.fixture
def brisk(settings: Settings) -> Settings:
    """Short leases."""
    return msgspec.structs.replace(settings, lock_lease_seconds=0.9, presence_lease_seconds=0.9)


@pytest.fixture
async def keen(settings: Settings, world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """A node that renews often what is leased for long."""
    monkeypatch.setattr(locks, "RENEWALS_PER_LEASE", 1_000)
    async with running_node(msgspec.structs.replace(settings, lock_lease_seconds=300)) as node:
        yield node


def kinds(frames: list[Json]) -> list[str]:
    """The types of frames, without those of presence."""
    return [frame["type"] for frame in frames if not frame["type"].startswith("presence")]


async def hold(live: Live, field: str = "name") -> int:
    """Locks a field; the token."""
    await live.send(type="lock", field=field)
    while "token" not in (frame := await live.expect("locked", field=field)):
        pass
    assert frame["expires_in"] > 0
    token: int = frame["token"]
    return token


async def test_a_lock_is_shown_to_those_who_may_see_the_field(node: Node, world: World, record: Json) -> None:
    """Others learn who holds a field, without the token; who may not read the field learns nothing; so do newcomers."""
    channel, blind = f"record:{record['id']}", world.token(reader(readable_fields=frozenset({"name"})))
    async with node.live(world.token(name="Ada")) as holder, node.live(world.token()) as other, node.live(blind) as dim:
        for live in (holder, other, dim):
            await live.subscribe(channel)
        await hold(holder, "secret")
        frame = await other.expect("locked", channel=channel, field="secret", record_id=record["id"])
        assert (frame["user"]["name"], "token" in frame) == ("Ada", False)
        assert kinds(await quiet(dim)) == []
        async with node.live(world.token()) as late, node.live(blind) as late_dim:
            await late.subscribe(channel)
            assert (await late.expect("locked"))["connection"] == frame["connection"]
            await late_dim.subscribe(channel)
            assert kinds(await quiet(late_dim)) == []
        await holder.send(type="unlock", field="secret")
        assert (await other.expect("unlocked"))["field"] == "secret"
        assert kinds(await quiet(dim)) == []
    assert world.locks == {}


async def test_a_field_is_one_sockets(node: Node, world: World, record: Json) -> None:
    """The second is told who has it; the holder's updates carry its token, as do those that name one themselves."""
    channel = f"record:{record['id']}"
    async with node.live(world.token()) as holder, node.live(world.token()) as other:
        await holder.subscribe(channel)
        await other.subscribe(channel)
        token = await hold(holder)
        await other.send(type="lock", field="name")
        assert (await other.expect("error", code="locked"))["holder"]["name"] == "Ann"
        await holder.send(type="field_update", field="name", value="x", operation_id="1")
        await holder.expect("ack")
        await other.send(type="field_update", field="name", value="y", operation_id="2", lock_token=7)
        await other.expect("ack")
    assert [update["lock_token"] for update in world.updates] == [token, 7]


async def test_a_write_to_a_locked_field_is_a_conflict(node: Node, world: World, record: Json) -> None:
    """What records refuses because of a lock comes as `conflict` with the holder, a token that is too old as error."""
    async with node.live(world.token()) as live:
        await live.subscribe(f"record:{record['id']}")
        world.refuse = Conflict(code="locked", extra={"field": "name", "holder": {"id": "1", "name": "Ada"}})
        await live.send(type="field_update", field="name", value="x", operation_id="1")
        frame = await live.expect("conflict", operation_id="1", field="name")
        assert (frame["holder"], frame["attempted"]) == ({"id": "1", "name": "Ada"}, "x")
        world.refuse = Conflict(code="lock-lost")
        await live.send(type="field_update", field="name", value="x", operation_id="2", lock_token=1)
        await live.expect("error", code="lock-lost", operation_id="2")


async def test_leaving_lets_go(node: Node, world: World, record: Json) -> None:
    """Unsubscribing and closing the socket end its locks, and the others are told."""
    channel = f"record:{record['id']}"
    async with node.live(world.token()) as other:
        await other.subscribe(channel)
        async with node.live(world.token()) as holder:
            await holder.subscribe(channel)
            await hold(holder)
            await holder.send(type="unsubscribe", channel=channel)
            await other.expect("unlocked")
            await holder.subscribe(channel)
            await hold(holder)
            await other.expect("locked")
        await other.expect("unlocked")
        await hold(other)


@pytest.mark.parametrize("way", ["unlock", "unsubscribe", "close"])
async def test_an_end_is_told_after_it(node: Node, world: World, record: Json, way: str) -> None:
    """Nobody hears that a field is free before records has let go of it, so who hears of it may write."""
    channel = f"record:{record['id']}"
    async with node.live(world.token()) as other, node.live(world.token()) as holder:
        await other.subscribe(channel)
        await holder.subscribe(channel)
        await hold(holder)
        await other.expect("locked")
        world.releasing.clear()
        if way == "close":
            await holder._connection.close()
        else:
            await holder.send(type=way, **({"field": "name"} if way == "unlock" else {"channel": channel}))
        await eventually(lambda: asked(world))
        assert "unlocked" not in kinds(await quiet(other))
        world.releasing.set()
        await other.expect("unlocked")
        assert world.locks == {}


async def asked(world: World) -> bool:
    """Whether records was asked to let go."""
    return world.releases > 0


async def test_what_is_let_go_of_does_not_take_the_next_lock_with_it(node: Node, world: World, record: Json) -> None:
    """A socket that leaves a record and comes back has a lock of its own, however late the first one is let go of."""
    channel = f"record:{record['id']}"
    async with node.live(world.token()) as holder:
        await holder.subscribe(channel)
        first = await hold(holder)
        world.releasing.clear()
        await holder.send(type="unsubscribe", channel=channel)
        await holder.subscribe(channel)
        await holder.send(type="lock", field="name")
        await eventually(lambda: asked(world))
        world.releasing.set()
        second = (await holder.expect("locked"))["token"]
        assert second > first
        assert [lock["token"] for lock in world.locks.values()] == [second]


async def test_a_lock_needs_the_record_open(node: Node, world: World, record: Json) -> None:
    """Without a subscription there is no lock; where records refuses, nothing is held and nobody is told."""
    async with node.live(world.token()) as live, node.live(world.token()) as other:
        await live.send(type="lock", field="name", record_id=record["id"])
        await live.expect("error", code="not-subscribed")
        for one in (live, other):
            await one.subscribe(f"record:{record['id']}")
        for refusal in (Forbidden(code="field-not-writable"), Unavailable(code="x")):
            world.refuse = refusal
            await live.send(type="lock", field="name")
            await live.expect("error", code=refusal.code)
        await live.send(type="unlock", field="name")
        assert kinds(await quiet(live)) == []
        assert kinds(await quiet(other)) == []


async def test_a_lock_is_renewed_while_its_socket_lives(keen: Node, world: World, record: Json) -> None:
    """The node renews it silently, and what records does not hold any more is told to its holder and the others."""
    channel = f"record:{record['id']}"
    async with keen.live(world.token()) as holder, keen.live(world.token()) as other:
        await holder.subscribe(channel)
        await other.subscribe(channel)
        await hold(holder)
        await other.expect("locked")

        async def renewed() -> bool:
            return world.renewals >= 3

        await eventually(renewed)
        assert kinds(await quiet(holder)) == kinds(await quiet(other)) == []
        world.locks.clear()
        await holder.expect("unlocked")
        await other.expect("unlocked")


async def test_who_may_not_write_any_more_holds_nothing(node: Node, world: World, record: Json) -> None:
    """A role that loses the right to write loses its locks."""
    token = world.token(reader())
    async with node.live(token) as holder:
        await holder.subscribe(f"record:{record['id']}")
        await hold(holder)
        world.refuse = Forbidden()
        await world.change_role(token, reader(), reader())
        await holder.expect("unlocked")


async def test_locks_cross_nodes_and_end_with_them(brisk: Settings, world: World, record: Json) -> None:
    """A lock on one node is shown on another, also to who comes later; when the node is killed it is shown to end."""
    channel = f"record:{record['id']}"
    async with running_node(brisk) as here, here.live(world.token()) as other:
        await other.subscribe(channel)
        with process(brisk) as (url, crashing):
            async with Live.open(url, world.token()) as holder:
                await holder.subscribe(channel)
                token = await hold(holder)
                frame = await other.expect("locked")
                async with here.live(world.token()) as late:
                    await late.subscribe(channel)
                    await late.expect("locked", connection=frame["connection"])
                crashing.kill()
                await other.expect("unlocked", connection=frame["connection"])
        world.locks.clear()
        assert await hold(other) > token


async def test_without_redis_fields_are_locked_all_the_same(
    brisk: Settings, world: World, record: Json, tmp_path: Path
) -> None:
    """Without Redis a lock is granted, shown and ended; who comes later learns of it at its renewal."""
    server = Valkey(tmp_path / "valkey", free_port())
    server.prepare()
    spawned = started(server)
    channel = f"record:{record['id']}"
    try:
        async with running_node(msgspec.structs.replace(brisk, redis_url=server.url)) as node:
            spawned.stop()
            async with node.live(world.token()) as holder, node.live(world.token()) as other:
                await holder.subscribe(channel)
                await hold(holder)
                await other.subscribe(channel)
                await other.expect("locked")
                await holder.send(type="unlock", field="name")
                await other.expect("unlocked")
    finally:
        spawned.stop()

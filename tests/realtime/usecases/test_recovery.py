"""The recovery protocol against a model: whoever follows it misses nothing that they may see, and sees nothing else."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from websockets.exceptions import ConnectionClosed

from libs.common.ids import new_id
from millrace.client import Live
from services.realtime.settings import Settings
from tests.realtime.support import Json, Node, World, reader, running_node
from tests.support.waiting import PATIENCE

LIMITS = (10, 5)
VERBS = ("create", "update", "update", "delete")
CROWD = 100
SHOWN = frozenset({"name", "score"})


def below(limit: int) -> Any:
    """A grant to read the records with a lower score, but for their secrets."""
    rule = {"field": "score", "op": "lt", "value": limit}
    return reader(row_rule=rule, readable_fields=SHOWN)


class Client:
    """One client as the contract wants it: it reads, subscribes from before the read, and resumes by its position."""

    def __init__(self, setting: "Setting") -> None:
        self._setting = setting
        self._stack = AsyncExitStack()
        self._live: Live | None = None
        self.seq: int | None = None
        self.records: dict[str, Json] = {}
        self.permit(LIMITS[0])

    def permit(self, limit: int) -> None:
        """Gives it other rights; what it has read is of no use then."""
        self.limit, self.seq, self.records = limit, None, {}
        self._token = self._setting.world.token(below(limit))

    @property
    def online(self) -> bool:
        """Whether it is connected."""
        return self._live is not None

    def read(self) -> None:
        """Reads all that may be seen, after it has noted a position."""
        self.seq = self._setting.position
        visible = self._setting.visible(self.limit)
        self.records = {record["id"]: dict(record["data"], secret=None) for record in visible}

    async def connect(self, node: Node) -> None:
        """Subscribes from where it is; where that is too old, or it never read, it reads first."""
        await self.disconnect()
        if self.seq is None:
            self.read()
        self._live = await self._stack.enter_async_context(node.live(self._token))
        await self._live.send(type="subscribe", channel=self._setting.channel, from_seq=self.seq)
        await self.settle()

    async def disconnect(self) -> None:
        """Goes, without a word."""
        self._live = None
        with suppress(ConnectionClosed):
            await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def settle(self) -> None:
        """Takes in what came; where it must, it reads anew and subscribes from there."""
        live = self._live
        assert live is not None
        try:
            await live.send(type="ping")
            while (frame := await live.receive())["type"] != "pong":
                if self._take(frame):
                    self.read()
                    await live.send(type="subscribe", channel=self._setting.channel, from_seq=self.seq)
                    await live.send(type="ping")
        except ConnectionClosed:
            await self.disconnect()

    def _take(self, frame: Json) -> bool:
        """Takes a frame in; whether all must be read anew."""
        kind = frame["type"]
        if kind == "resync_required":
            return True
        if not kind.startswith("record_"):
            return False
        assert self.seq is not None
        assert frame["seq"] > self.seq, "a change came twice, or out of order"
        self.seq = frame["seq"]
        record = frame["record"]
        if kind in ("record_deleted", "record_left"):
            assert "secret" not in record.get("data", {})
            self.records.pop(record["id"], None)
        else:
            assert "secret" not in record["data"], "a hidden field was shown"
            assert record["data"]["score"] < self.limit, "a hidden record was shown"
            self.records[record["id"]] = dict(record["data"], secret=None)
        return False


class Setting:
    """Nodes, a pipeline that changes, and clients."""

    def __init__(self, world: World, settings: Settings) -> None:
        self.world = world
        self.settings = settings
        self.pipeline = world.pipeline()
        self.channel = f"pipeline:{self.pipeline}"
        self.position = 0
        self.mine: dict[str, Json] = {}
        self.nodes: list[Node] = []
        self._stacks: list[AsyncExitStack] = []
        self.clients = [Client(self) for _ in range(2)]

    def visible(self, limit: int) -> list[Json]:
        """What may be read."""
        return [one for one in self.mine.values() if one["data"]["score"] < limit]

    async def start(self) -> None:
        """Starts two nodes, and notes where the stream is."""
        for _ in range(2):
            self._stacks.append(AsyncExitStack())
            self.nodes.append(await self._stacks[-1].enter_async_context(running_node(self.settings)))
        await self.change("create", 0, 3)

    async def restart(self, index: int) -> None:
        """Ends a node, with all its sockets, and starts another."""
        await self._stacks[index].aclose()
        self._stacks[index] = AsyncExitStack()
        self.nodes[index] = await self._stacks[index].enter_async_context(running_node(self.settings))

    async def stop(self) -> None:
        """Ends all."""
        for client in self.clients:
            await client.disconnect()
        for stack in self._stacks:
            await stack.aclose()

    async def change(self, verb: str, which: int, score: int) -> None:
        """Something happens to a record."""
        known = list(self.mine.values())
        if verb == "create" or not known:
            record = await self.world.create(self.pipeline, announce=False, name="n", score=score, secret="s")
            self.mine[record["id"]] = record
            self.position = await self.world.announce("created", record, changed=["name", "score", "secret"])
            return
        record = known[which % len(known)]
        if verb == "delete":
            del self.mine[record["id"]]
            self.position = await self.world.delete(record)
        else:
            self.position = await self.world.update(record, {"score": score, "secret": f"s{which}"})


async def test_no_change_is_missed_and_none_is_leaked(settings: Settings, world: World) -> None:
    """Through disconnects, restarts of nodes, changed permissions and reads that are old by the time of subscribing,
    what each client has made of frames is at any time what it may read.
    """
    loop = asyncio.get_running_loop()
    setting = Setting(world, settings)
    await setting.start()

    def do(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(300)

    class Recovery(RuleBasedStateMachine):
        @rule(
            verb=st.sampled_from(["create", "update", "update", "delete"]), n=st.integers(0, 9), to=st.integers(0, 14)
        )
        def change(self, verb: str, n: int, to: int) -> None:
            do(setting.change(verb, n, to))

        @rule(who=st.integers(0, 1), where=st.integers(0, 1))
        def connect(self, who: int, where: int) -> None:
            do(setting.clients[who].connect(setting.nodes[where]))

        @rule(who=st.integers(0, 1))
        def disconnect(self, who: int) -> None:
            do(setting.clients[who].disconnect())

        @rule(who=st.integers(0, 1))
        def read_and_wait(self, who: int) -> None:
            """What is read now is subscribed to later, when other things have happened."""
            do(setting.clients[who].disconnect())
            setting.clients[who].read()

        @rule(who=st.integers(0, 1), where=st.integers(0, 1), narrow=st.booleans())
        def permit(self, who: int, where: int, narrow: bool) -> None:
            """Other rights: the client reads anew by them."""
            client = setting.clients[who]
            do(client.disconnect())
            client.permit(LIMITS[narrow])
            do(client.connect(setting.nodes[where]))

        @precondition(lambda self: len(setting.mine) < 60)
        @rule(index=st.integers(0, 1), chance=st.integers(0, 3))
        def restart(self, index: int, chance: int) -> None:
            if chance == 0:
                do(setting.restart(index))

        @invariant()
        def agree(self) -> None:
            for client in setting.clients:
                if client.online:
                    do(_agrees(setting, client))

    machine_settings = hypothesis_settings(max_examples=6, stateful_step_count=25, database=None)
    try:
        await asyncio.to_thread(run_state_machine_as_test, Recovery, settings=machine_settings)
    finally:
        await setting.stop()


async def _agrees(setting: Setting, client: Client) -> None:
    """Waits until a client has what it may read; it never has less for long, and never more."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while client.online:
        await client.settle()
        expected = {one["id"]: {**one["data"], "secret": None} for one in setting.visible(client.limit)}
        if client.records == expected:
            return
        assert asyncio.get_running_loop().time() < deadline, f"{client.records} is not {expected}"


@pytest.mark.parametrize("ruled", [False, True])
async def test_many_who_come_back_ask_records_nothing(settings: Settings, world: World, ruled: bool) -> None:
    """A crowd that loses its node and resumes on another gets what it missed, and records is asked nothing; under a row
    rule it is asked what the records are, for all who come at the moment, and nothing in anybody's name.
    """
    pipeline, token = world.pipeline(), world.token(*([below(10)] if ruled else []))
    crowd = [await world.create(pipeline, announce=False, name=f"Record {n}", score=0) for n in range(CROWD)]
    channels = [f"record:{one['id']}" if n % 2 else f"pipeline:{pipeline}" for n, one in enumerate(crowd)]
    positions: list[int] = []
    async with running_node(settings) as node, AsyncExitStack() as first:
        for channel in channels:
            live = await first.enter_async_context(node.live(token))
            positions.append((await live.subscribe(channel))["seq"])
    for one in crowd:
        await world.update(one, {"score": 2})
    asked, looks = world.questions, world.looks
    async with running_node(settings) as node:

        async def come_back(number: int) -> None:
            async with node.live(token) as live:
                await live.subscribe(channels[number], from_seq=positions[number])
                while (await live.expect("record_updated"))["record"]["id"] != crowd[number]["id"]:
                    assert channels[number].startswith("pipeline:")

        await asyncio.gather(*(come_back(number) for number in range(CROWD)))
    assert (world.questions > asked, world.looks) == (ruled, looks)


async def test_coming_back_opens_nothing_that_was_closed(node: Node, world: World) -> None:
    """Who names a position is let into a record only where all is theirs to see, or records shows it to them."""
    pipeline = world.pipeline()
    record, hidden = (
        await world.create(pipeline, name="Ann", score=1),
        await world.create(pipeline, name="Eve", score=50),
    )
    async with node.live(world.token()) as live:
        for one in (record, hidden):
            seq = (await live.subscribe(f"record:{one['id']}"))["seq"]
    hidden["hidden"] = True
    for token in (world.token(below(10)), world.token(reader(new_id())), world.token(tenant=new_id())):
        async with node.live(token) as live:
            await live.send(type="subscribe", channel=f"record:{hidden['id']}", from_seq=seq)
            await live.expect("error", code="not-found")
    looks = world.looks
    async with node.live(world.token(below(10))) as live:
        await live.subscribe(f"record:{record['id']}", from_seq=seq)
        assert world.looks == looks
        record["data"]["score"] = 50
        await live.send(type="subscribe", channel=f"record:{record['id']}", from_seq=seq)
        await live.subscribe(f"record:{record['id']}", from_seq=seq)
        assert world.looks > looks

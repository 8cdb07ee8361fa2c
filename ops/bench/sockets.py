"""Deliveries a second to many sockets on one worker, against a bare broadcast of frames of the same size."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median

import msgspec

from millrace.client import Api
from ops.bench.figures import Figure
from ops.bench.listeners import Heard, Listen, Ready
from ops.bench.requests import BenchFailed
from ops.bench.stage import Stage
from ops.stack.home import PROJECT

SOCKETS = 1000
FRAMES = 50
BURSTS = 5

Trigger = Callable[[], Awaitable[None]]


class Listeners:
    """The process with the sockets."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def open(cls, listen: Listen) -> AsyncIterator["Listeners"]:
        """All sockets connected and subscribed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ops.bench.listeners", cwd=PROJECT, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        listeners = cls(process)
        try:
            ready = msgspec.json.decode(await listeners._ask(msgspec.json.encode(listen)), type=Ready)
            if ready.sockets < listen.sockets:
                raise BenchFailed(f"{listen.sockets - ready.sockets} of {listen.sockets} sockets were cut off")
            yield listeners
        finally:
            process.stdin.close()  # type: ignore[union-attr]
            await process.wait()

    async def hear(self, trigger: Trigger, deliveries: int) -> Heard:
        """What was delivered after the trigger."""
        await self._ask(str(deliveries).encode())
        _, answer = await asyncio.gather(trigger(), self._answer())
        heard = msgspec.json.decode(answer, type=Heard)
        if heard.deliveries < deliveries or heard.lost:
            raise BenchFailed(f"{heard.deliveries} of {deliveries} deliveries came, {heard.lost} sockets were cut off")
        return heard

    async def _ask(self, line: bytes) -> bytes:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()
        return await self._answer()

    async def _answer(self) -> bytes:
        assert self._process.stdout is not None
        answer = await self._process.stdout.readline()
        if not answer:
            raise BenchFailed("the sockets could not be opened; what is above says why")
        return answer


async def measure(stage: Stage) -> list[Figure]:
    """The realtime worker, then a bare broadcast of frames of the same size."""
    ours = await _platform(stage, stage.plan.ports["realtime"])
    through = await _platform(stage, stage.gateway)
    size = int(median(heard.size for heard in ours))
    base = _rate(await _bare(stage, size))
    busy = max(heard.busy for heard in ours)
    name, note = f"deliveries to {SOCKETS:,} sockets", f"frames of {size} bytes, listeners at {busy:.0%}"
    return [
        Figure(f"{name}, one worker", _rate(ours), "/s", base, least=50_000, note=note),
        Figure(f"{name}, through the gateway", _rate(through), "/s", base),
    ]


async def _platform(stage: Stage, port: int) -> list[Heard]:
    pipeline = stage.pipelines["notes"]
    records = f"/pipelines/{pipeline}/records"
    page = await stage.api.get(records, {"limit": FRAMES})
    ids = [record["id"] for record in page["items"]]
    listen = Listen(port, "/api/v1/ws", SOCKETS, [opening(stage, f"pipeline:{pipeline}")], 1)
    bursts = 0

    async def trigger() -> None:
        nonlocal bursts
        bursts += 1
        await _touch(stage.api, records, ids, bursts)

    async with Listeners.open(listen) as listeners:
        return [await listeners.hear(trigger, SOCKETS * len(ids)) for _ in range(BURSTS)]


def opening(stage: Stage, channel: str, **more: object) -> list[str]:
    """What a socket sends to be signed in and to hear a channel."""
    frames = [{"type": "authenticate", "token": stage.api.token}, {"type": "subscribe", "channel": channel, **more}]
    return [msgspec.json.encode(frame).decode() for frame in frames]


async def _touch(api: Api, records: str, ids: list[str], burst: int) -> None:
    operations = [{"op": "update", "id": one, "data": {"subject": f"Burst {burst} of {one}"}} for one in ids]
    answer = await api.post(f"{records}/batch", {"operations": operations})
    if answer["updated"] != len(ids):
        raise BenchFailed(f"{answer['updated']} of {len(ids)} records were updated")


async def _bare(stage: Stage, size: int) -> list[Heard]:
    async with Api(f"http://127.0.0.1:{stage.bare}") as api:

        async def trigger() -> None:
            (await api.http.get(f"http://127.0.0.1:{stage.bare}/broadcast/{FRAMES}/{size}")).raise_for_status()

        async with Listeners.open(Listen(stage.bare, "/", SOCKETS, [], 0)) as listeners:
            return [await listeners.hear(trigger, SOCKETS * FRAMES) for _ in range(BURSTS)]


def _rate(heard: list[Heard]) -> float:
    return median(one.deliveries / one.seconds for one in heard)

"""Those who write while things break, and those who must hear of each write."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from random import Random
from typing import Any

import httpx
import msgspec
import nats
import nats.errors
from websockets.exceptions import WebSocketException

from millrace.client import Live, NotHeard
from millrace.client.pauses import Pauses
from ops.stack import Stack
from tests.journeys.crm import Json, pages
from tests.support.platform import Tenant
from tests.support.waiting import PATIENCE, eventually

WRITERS = 4
SPREAD = 0.5
"""Seconds within which watchers come back, fewer than the client has by itself."""
_AWAY = (OSError, WebSocketException, TimeoutError, NotHeard)


class Writers:
    """Create records at the same time, all along; `acknowledged` are the ids of those that got a 201."""

    def __init__(self, tenant: Tenant, pipeline: Json) -> None:
        self._api = tenant.client
        self._path = f"/pipelines/{pipeline['id']}/records"
        self._numbers = count()
        self.acknowledged: list[str] = []

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """They write until the block ends."""
        tasks = [asyncio.create_task(self._write()) for _ in range(WRITERS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def more(self, records: int) -> None:
        """Wait until so many more were acknowledged."""
        goal = len(self.acknowledged) + records

        async def reached() -> bool:
            return len(self.acknowledged) >= goal

        await eventually(reached)

    async def _write(self) -> None:
        while True:
            data = {"name": f"Record {next(self._numbers)}"}
            try:
                answer = await self._api.post(self._path, json={"data": data}, timeout=5)
            except httpx.TransportError:
                continue
            if answer.status_code == 201:
                self.acknowledged.append(answer.json()["id"])
            else:
                assert answer.status_code in (502, 503, 504), answer.text
                await asyncio.sleep(0.05)


class Watcher:
    """A socket on a pipeline that comes back where it was cut off; `heard` counts each record it was told of.

    It comes back as the client does, at moments that its seed decides. `breaks` are those after the first opening: how
    long it was to wait, and how long it was away.
    """

    def __init__(self, url: str, tenant: Tenant, pipeline: Json, seed: int = 0) -> None:
        self._url = url
        self._token = tenant.access_token
        self._channel = f"pipeline:{pipeline['id']}"
        self._position: int | None = None
        self._pauses = Pauses(SPREAD, Random(seed))
        self.breaks: list[tuple[float, float]] = []
        self.heard: Counter[str] = Counter()
        self.ready = asyncio.Event()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """It listens until the block ends."""
        task = asyncio.create_task(self._listen())
        try:
            await asyncio.wait_for(self.ready.wait(), 60)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        pause, gone = 0.0, time.monotonic()
        while True:
            with suppress(*_AWAY):
                async with Live.open(self._url, self._token) as live:
                    self.breaks.append((pause, time.monotonic() - gone))
                    self._pauses.reset()
                    await self._follow(live)
            pause, gone = self._pauses.next(), time.monotonic()
            await asyncio.sleep(pause)

    async def _follow(self, live: Live) -> None:
        resume = {} if self._position is None else {"from_seq": self._position}
        await live.send(type="subscribe", channel=self._channel, **resume)
        while True:
            frame = live.unread.pop(0) if live.unread else await live.receive()
            match frame["type"]:
                case "subscribed":
                    self._position = frame["seq"] if self._position is None else self._position
                    self.ready.set()
                case "error":
                    raise NotHeard(frame["code"])
                case "resync_required":
                    raise AssertionError(frame)
                case "record_created":
                    assert self._position is not None
                    assert frame["seq"] > self._position, frame
                    self._position = frame["seq"]
                    self.heard[frame["record"]["id"]] += 1


def recovered(stack: Stack, seconds: float = 2 * PATIENCE) -> None:
    """Return when every process runs and is ready; fail naming those that are not in time."""
    deadline = time.monotonic() + seconds
    while (conditions := stack.status()) and not all(condition.ready for condition in conditions):
        ill = [condition for condition in conditions if not condition.ready]
        assert time.monotonic() < deadline, f"not recovered after {seconds:g} s: {ill}"
        time.sleep(0.05)
    assert len(conditions) == len(stack.plan.processes())


async def announced(stack: Stack, tenant: Tenant, verb: str = "created") -> Counter[str]:
    """How often the stream holds an event of each record of a tenant; asked again while its servers elect a leader."""
    subject = f"evt.{tenant.id}.records.record.{verb}"
    found: Counter[str] = Counter()
    connection = await nats.connect(stack.plan.nats_url.split(","))

    async def counted() -> bool:
        found.clear()
        try:
            subscription = await connection.jetstream().pull_subscribe(subject, stream="EVENTS")
            pending = (await subscription.consumer_info()).num_pending or 0
            while found.total() < pending:
                found.update(_record(message.data) for message in await subscription.fetch(500, timeout=5))
        except nats.errors.Error:
            return False
        return True

    try:
        await eventually(counted)
    finally:
        await connection.close()
    return found


async def announced_all(stack: Stack, tenant: Tenant, pipeline: Json, acknowledged: set[str]) -> Counter[str]:
    """How often each stored record was announced, as soon as all were; what was acknowledged is among them."""
    found: Counter[str] = Counter()

    async def all_told() -> bool:
        nonlocal found
        records = await pages(tenant.client, f"/pipelines/{pipeline['id']}/records", limit=200)
        found = await announced(stack, tenant)
        return acknowledged <= {record["id"] for record in records} == set(found)

    await eventually(all_told)
    return found


def _record(payload: bytes) -> str:
    event: dict[str, Any] = msgspec.json.decode(payload)
    return str(event["data"]["record"]["id"])

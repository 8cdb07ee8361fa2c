"""A tenant's changes of records from JetStream, in order and without a gap, for as long as somebody listens.

One ephemeral push consumer without acknowledgements; whatever goes wrong with it (a lost message, missing heartbeats,
a lost connection), the next one begins after the last position that was taken.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.events import STREAM
from libs.common.resilience import end, keep_running
from services.realtime.storage import stream

HEARTBEAT = 2.0
SILENCE = 5.0
LOOK_SECONDS = 0.5
INACTIVE_SECONDS = 30.0

Take = Callable[[int, bytes], Awaitable[None]]
Begin = Callable[[int, int | None], None]


class Broken(Exception):
    """The consumer cannot be relied on any more."""


class Feed:
    """Calls `take` with the position and payload of each change, one at a time.

    `begin` is called before the first one, and again where the stream no longer has what would come next: with the
    position from which on nothing will be missed, and the last change that the stream has, or None.
    """

    def __init__(self, bus: Bus, tenant_id: UUID, take: Take, begin: Begin) -> None:
        self._bus = bus
        self._tenant_id = tenant_id
        self._take = take
        self._begin = begin
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._position = 0

    def start(self) -> None:
        """Begins, in the background."""
        self._task = asyncio.create_task(keep_running(f"feed {self._tenant_id}", self._follow, cap=1.0))

    async def begun(self) -> None:
        """Waits until the position is known from which on nothing is missed."""
        await self._begun.wait()

    async def stop(self) -> None:
        """Ends the feed and its consumer."""
        if self._task:
            await end([self._task])

    async def _follow(self) -> None:
        await self._bus.ready()
        await self._resume()
        reconnects = self._bus.client.stats["reconnects"]
        subscription = await self._bus.client.subscribe(self._bus.client.new_inbox())
        name = await self._consume(subscription.subject)
        try:
            await self._read(subscription, reconnects)
        finally:
            await self._leave(subscription, name)

    async def _resume(self) -> None:
        last = await stream.last(self._bus, self._tenant_id)
        bounds = await stream.bounds(self._bus)
        remade = bounds.last < self._position
        truncated = bounds.first > self._position + 1 and last != self._position
        if not self._begun.is_set() or remade or truncated:
            self._position = last or bounds.first - 1
            self._begin(self._position, last or None)
            self._begun.set()

    async def _consume(self, inbox: str) -> str:
        config = ConsumerConfig(
            deliver_subject=inbox, filter_subject=stream.subject(self._tenant_id), ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=self._position + 1, max_deliver=1,
            flow_control=True, idle_heartbeat=HEARTBEAT, mem_storage=True, num_replicas=1,
            inactive_threshold=INACTIVE_SECONDS,
        )  # fmt: skip
        return (await self._bus.jetstream.add_consumer(STREAM, config)).name

    async def _read(self, subscription: Subscription, reconnects: int) -> None:
        expected, heard = 1, time.monotonic()
        while True:
            try:
                message = await subscription.next_msg(timeout=LOOK_SECONDS)
            except nats.errors.TimeoutError:
                if self._bus.client.stats["reconnects"] != reconnects or time.monotonic() - heard > SILENCE:
                    raise Broken("the consumer is silent") from None
                continue
            heard = time.monotonic()
            if message.headers and message.headers.get("Status") == "100":
                await self._control(message, expected)
            else:
                expected = await self._message(message, expected)

    async def _control(self, message: Msg, expected: int) -> None:
        if message.reply:
            await message.respond(b"")
            return
        headers = message.headers or {}
        if stalled := headers.get("Nats-Consumer-Stalled"):
            await self._bus.client.publish(stalled)
        if int(headers.get("Nats-Last-Consumer", expected - 1)) != expected - 1:
            raise Broken("a change was lost on the way")

    async def _message(self, message: Msg, expected: int) -> int:
        numbers = message.metadata.sequence
        if numbers.consumer != expected:
            raise Broken("a change was lost on the way")
        await self._take(numbers.stream, message.data)
        self._position = numbers.stream
        return expected + 1

    async def _leave(self, subscription: Subscription, name: str) -> None:
        with suppress(nats.errors.Error, APIError, TimeoutError, OSError, Unavailable):
            await subscription.unsubscribe()
            await self._bus.jetstream.delete_consumer(STREAM, name)

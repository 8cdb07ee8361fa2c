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
        client, reading = self._bus.client, Reading(self._position, self._take)
        reconnects = client.stats["reconnects"]
        subscription = await client.subscribe(client.new_inbox(), cb=reading.receive)
        name = await self._consume(subscription.subject)
        try:
            await reading.watch(lambda: self._bus.client.stats["reconnects"] != reconnects)
        finally:
            await reading.finish()
            self._position = reading.position
            await self._leave(subscription, name)

    async def _resume(self) -> None:
        last = await stream.last(self._bus, self._tenant_id)
        remade = await stream.ends_before(self._bus, self._position)
        bounds = await stream.bounds(self._bus)
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

    async def _leave(self, subscription: Subscription, name: str) -> None:
        with suppress(nats.errors.Error, APIError, TimeoutError, OSError, Unavailable):
            await subscription.unsubscribe()
            await self._bus.jetstream.delete_consumer(STREAM, name)


class Reading:
    """What one consumer delivers, checked for gaps. The client calls `receive` with one message after the other."""

    def __init__(self, position: int, take: Take) -> None:
        self.position = position
        self._take = take
        self._expected = 1
        self._heard = time.monotonic()
        self._broken: Exception | None = None
        self._busy = asyncio.Lock()

    async def receive(self, message: Msg) -> None:
        """Takes a change, or answers what the server says of the consumer; nothing after the first fault."""
        async with self._busy:
            if self._broken is not None:
                return
            self._heard = time.monotonic()
            try:
                await (self._control(message) if _is_status(message) else self._change(message))
            except Exception as error:
                self._broken = error

    async def finish(self) -> None:
        """Takes no more, and waits until the change is fanned out that was taken last."""
        self._broken = self._broken or Broken("ended")
        async with self._busy:
            return

    async def watch(self, reconnected: Callable[[], bool]) -> None:
        """Raises as soon as the consumer cannot be relied on any more."""
        while self._broken is None:
            await asyncio.sleep(LOOK_SECONDS)
            if reconnected() or time.monotonic() - self._heard > SILENCE:
                raise Broken("the consumer is silent")
        raise self._broken

    async def _control(self, message: Msg) -> None:
        if message.reply:
            return await message.respond(b"")
        headers = message.headers or {}
        if stalled := headers.get("Nats-Consumer-Stalled"):
            await message._client.publish(stalled)
        if int(headers.get("Nats-Last-Consumer", self._expected - 1)) != self._expected - 1:
            raise Broken("a change was lost on the way")

    async def _change(self, message: Msg) -> None:
        numbers = message.metadata.sequence
        if numbers.consumer != self._expected:
            raise Broken("a change was lost on the way")
        await self._take(numbers.stream, message.data)
        self.position = numbers.stream
        self._expected += 1


def _is_status(message: Msg) -> bool:
    return bool(message.headers) and (message.headers or {}).get("Status") == "100"

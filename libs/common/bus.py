"""NATS: publishing to the stream, durable idempotent consumers, requests with a deadline, plain listening.

Connecting never fails at start: the client goes on trying, and what needs it meanwhile gets `Unavailable`.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamConfig
from nats.js.errors import APIError, NotFoundError
from opentelemetry.trace import SpanKind

from libs.common import events, tracing
from libs.common.consuming import Consumer as Consumer
from libs.common.consuming import consume
from libs.common.errors import AppError, Malformed, Unavailable, WireError, from_wire, to_wire
from libs.common.postgres import Database
from libs.common.publishing import Ack, Publisher
from libs.common.publishing import Outgoing as Outgoing
from libs.common.resilience import end, keep_running
from libs.common.settings import Latest

T = TypeVar("T")
Q = TypeVar("Q")
A = TypeVar("A")
log = structlog.get_logger()

STREAM_MAX_BYTES = 4 * 1024**3
DEDUPLICATION_SECONDS = 600
PUBLISH_SECONDS = 5.0
HINT_SECONDS = 1
POSITION_SUBJECT = "position.events"
EPOCH = "Stream-Created"
# What others were told that is not known here lies within this.
MARGIN = 10_000

_LOGIN = {"user": "username", "password": "password"}


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a request is answered with: the result, or the error that the caller raises again."""

    ok: msgspec.Raw = msgspec.Raw(b"null")
    error: WireError | None = None


class Bus:
    """A connection to NATS with the platform's one stream.

    `position` is a sequence number of the stream that was reached already: all up to it was committed before now. A
    stream that was lost is made anew, and numbers go on beyond all that were told; where nobody remembered any, they
    begin anew, and `position` with them: a stream is known by the time at which it was made.

    The address may list the servers of a cluster. The stream is kept by `replicas` of them; one that is kept by fewer
    is spread further, one that is kept by more is left so.
    """

    def __init__(self, url: str | Latest, name: str, *, replicas: int = 1, tls: ssl.SSLContext | None = None) -> None:
        self._url: Latest = url if callable(url) else lambda: url
        self._tls = tls
        self._name = name
        self._replicas = replicas
        self._client = Client()
        self._js: JetStreamContext | None = None
        self._publisher: Publisher | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = asyncio.Event()
        self._reconnected: list[Callable[[], None]] = []
        self._moved: list[Callable[[], None]] = []
        self.consumers: list[str] = []
        self.position = 0
        self._epoch = 0.0
        self._mending: asyncio.Task[None] | None = None
        self.exporter: tracing.Exporter | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now and the stream exists."""
        return self._ready.is_set() and self._client.is_connected

    @property
    def client(self) -> Client:
        """The connection, for what this class does not offer; `Unavailable` while there is none."""
        if not self.connected:
            raise _away()
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """The JetStream context of the connection."""
        if not self.connected or self._js is None:
            raise _away()
        return self._js

    async def start(self) -> None:
        """Begins connecting, in the background."""
        self._tasks.append(asyncio.create_task(self._connect()))

    async def ready(self) -> None:
        """Waits until the first connection stands and the stream exists."""
        await self._ready.wait()

    async def stop(self) -> None:
        """Ends the loops and closes the connection after flushing it."""
        await end([*self._tasks, *([self._mending] if self._mending else ())])
        if self._client.is_connected:
            with suppress(nats.errors.Error, TimeoutError, OSError):
                await asyncio.wait_for(self._client.flush(1), 2)
        with suppress(nats.errors.Error, TimeoutError, OSError):
            await self._client.close()

    async def _connect(self) -> None:
        # The client raises when its first attempt fails; later ones it makes by itself.
        while not self._client.is_connected:
            with suppress(OSError, nats.errors.Error, TimeoutError):
                await self._client.connect(
                    self._url().split(","), tls=self._tls, name=self._name, max_reconnect_attempts=-1,
                    reconnect_time_wait=1, connect_timeout=2, ping_interval=10, max_outstanding_pings=2,
                    error_cb=_quiet, reconnected_cb=self._on_reconnect, pending_size=0, allow_reconnect=True,
                    **self._login(),
                )  # fmt: skip
            if not self._client.is_connected:
                await asyncio.sleep(0.25)
        self._js = self._client.jetstream(timeout=PUBLISH_SECONDS)
        self._publisher = Publisher(self._client)
        await self._publisher.start()
        await keep_trying(self._ensure_stream)
        await self._client.subscribe(POSITION_SUBJECT, cb=self._on_position)
        self._ready.set()

    def _login(self) -> dict[str, Any]:
        """Name and password for the client to ask for at each connection, which may be renewed in between."""

        def part(name: str) -> str:
            return unquote(getattr(urlsplit(self._url().partition(",")[0]), name) or "")

        return {option: partial(part, name) for option, name in _LOGIN.items()} if part("password") else {}

    async def _ensure_stream(self) -> None:
        assert self._js is not None
        config = StreamConfig(
            name=events.STREAM, subjects=["evt.>"], max_age=events.MAX_AGE_SECONDS, max_bytes=STREAM_MAX_BYTES,
            discard=DiscardPolicy.OLD, duplicate_window=DEDUPLICATION_SECONDS, num_replicas=self._replicas,
            allow_direct=True, first_seq=self.position + MARGIN if self.position else None,
        )  # fmt: skip
        try:
            info = await self._js.stream_info(events.STREAM)
        except NotFoundError:
            info = await self._js.add_stream(config)
        if (info.config.num_replicas or 1) < self._replicas:
            await self._spread(info.config)
        made = info.created.timestamp() if info.created else self._epoch
        if made == self._epoch:
            return self._advance(info.state.last_seq)
        known, self._epoch, self.position = self._epoch, made, info.state.last_seq
        if known:
            await log.awarning("the stream was made anew", position=self.position)
            await self._tell_position()

    async def _spread(self, config: StreamConfig) -> None:
        assert self._js is not None
        try:
            await self._js.update_stream(config.evolve(num_replicas=self._replicas))
        except APIError as error:
            await log.aerror("the stream has fewer replicas than it should", wanted=self._replicas, error=repr(error))

    def _mend(self) -> None:
        """Looks for the stream, and makes it anew where it was lost, in the background."""
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(keep_trying(self._ensure_stream))

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Calls back when the connection stands again: what was only listened to may have been missed meanwhile."""
        self._reconnected.append(callback)

    def on_move(self, callback: Callable[[], None]) -> None:
        """Calls back when it is told that the stream goes on."""
        self._moved.append(callback)

    async def _on_reconnect(self) -> None:
        for callback in self._reconnected:
            callback()
        self._mend()

    async def _on_position(self, message: Msg) -> None:
        if float((message.headers or {}).get(EPOCH, self._epoch)) == self._epoch:
            self._advance(int(message.data))
        else:
            self._mend()
        for callback in self._moved:
            callback()

    def _advance(self, seq: int) -> None:
        self.position = max(self.position, seq)

    async def _tell_position(self) -> None:
        await self._client.publish(POSITION_SUBJECT, str(self.position).encode(), headers={EPOCH: repr(self._epoch)})

    async def publish(self, messages: Sequence[Outgoing]) -> int:
        """Publishes in order, pipelined, and returns the last sequence number when all are acknowledged."""
        reached = self.position
        acks = await self._acknowledged(messages)
        if any(not ack.duplicate and ack.seq <= reached for ack in acks):
            await keep_trying(self._ensure_stream, seconds=PUBLISH_SECONDS)
        last = max(ack.seq for ack in acks)
        self._advance(last)
        await self._tell_position()
        return last

    async def _acknowledged(self, messages: Sequence[Outgoing]) -> list[Ack]:
        if not self.connected or self._publisher is None:
            raise _away()
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                return await self._publisher.publish(messages)
        except (TimeoutError, nats.errors.Error) as error:
            self._mend()
            raise Unavailable("The stream did not acknowledge", code="broker-unavailable") from error

    def listen(self, subject: str, callback: Callable[[bytes], Awaitable[None]]) -> None:
        """Hands every message of a subject to a callback from now on, not durably: to refresh what memory holds."""

        async def deliver(message: Msg) -> None:
            try:
                await callback(message.data)
            except Exception as error:
                await log.awarning("listener failed", subject=message.subject, error=repr(error))

        async def subscribe() -> None:
            await self.ready()
            await self._client.subscribe(subject, cb=deliver)

        self._tasks.append(asyncio.create_task(subscribe()))

    async def hint(self, subject: str, payloads: Sequence[bytes]) -> None:
        """Tells those who listen, before this returns if the broker is there; what is lost comes by the stream."""
        with suppress(Unavailable, nats.errors.Error, TimeoutError, OSError):
            for payload in payloads:
                await self.client.publish(subject, payload)
            await self.client.flush(HINT_SECONDS)

    async def request(self, subject: str, question: object, answer: type[A], *, seconds: float = 2.0) -> A:
        """Asks a service and returns its answer, or raises the error that it raised; late is `Unavailable`."""
        headers = {"traceparent": trace} if (trace := tracing.traceparent()) else None
        try:
            message = await self.client.request(subject, msgspec.json.encode(question), seconds, headers=headers)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(f"{subject} did not answer", code="upstream-unavailable", retry_after=1) from error
        reply = msgspec.json.decode(message.data, type=Answer)
        if reply.error is not None:
            raise from_wire(reply.error)
        return msgspec.json.decode(reply.ok, type=answer)

    def serve(self, subject: str, question: type[Q], answer: Callable[[Q], Awaitable[object]]) -> None:
        """Answers requests on a subject, each in a task of its own; instances of one service share the work."""

        async def reply(message: Msg) -> None:
            header = (message.headers or {}).get("traceparent")
            with tracing.span(self.exporter, f"answer {subject}", header, SpanKind.SERVER):
                data = await _answer(message, question, answer)
            with suppress(nats.errors.Error, OSError):
                await message.respond(data)

        async def accept(message: Msg) -> None:
            task = asyncio.create_task(reply(message))
            running.add(task)
            task.add_done_callback(running.discard)

        async def subscribe() -> None:
            await self.ready()
            await self._client.subscribe(subject, queue=subject.split(".")[1], cb=accept)

        running: set[asyncio.Task[None]] = set()
        self._tasks.append(asyncio.create_task(subscribe()))

    def consume(self, consumer: Consumer[Any], database: Database) -> None:
        """Runs a durable consumer for as long as the bus lives."""

        async def work() -> None:
            await self.ready()
            await self._ensure_stream()
            await consume(self.jetstream, consumer, database, self.exporter)

        self.consumers.append(consumer.name)
        self._tasks.append(asyncio.create_task(keep_running(f"consumer {consumer.name}", work, cap=2.0)))


def _away() -> Unavailable:
    return Unavailable("The message broker is away", code="broker-unavailable", retry_after=2)


async def _answer(message: Msg, question: type[Q], answer: Callable[[Q], Awaitable[object]]) -> bytes:
    try:
        result = await answer(msgspec.json.decode(message.data, type=question))
        return msgspec.json.encode({"ok": result})
    except AppError as error:
        return msgspec.json.encode({"error": to_wire(error)})
    except msgspec.DecodeError as error:
        return msgspec.json.encode({"error": to_wire(Malformed(str(error)))})
    except Exception as error:
        await log.aerror("request not answered", subject=message.subject, error=repr(error), exc_info=True)
        return msgspec.json.encode({"error": to_wire(AppError())})


async def keep_trying(work: Callable[[], Awaitable[None]], pause: float = 0.25, seconds: float = 3600.0) -> None:
    """Repeats work until it succeeds or an hour has passed."""
    end = time.monotonic() + seconds
    while True:
        try:
            return await work()
        except (APIError, nats.errors.Error, TimeoutError, OSError):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(pause)


async def _quiet(error: Exception) -> None:
    await log.adebug("nats", error=repr(error))

"""The sockets of shared documents: the binary messages of y-protocols, as the stock client `y-websocket` speaks them.

A socket's way: the handshake's credentials → accept → authenticate → the record's field → message after message →
leave. What the client may do is asked of records, again when its roles change, and when the record does where a rule
looks at it.
"""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from litestar.types import Receive, Send

from libs.common.errors import (
    AppError,
    Forbidden,
    Malformed,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from services.realtime.domain import documents as rules
from services.realtime.domain.channels import Channel
from services.realtime.domain.documents import AWARENESS, NOTHING, QUERY_AWARENESS, STEP_1, SYNC, UPDATE, Editor
from services.realtime.domain.messages import Failed, Frame, Message
from services.realtime.sockets.connection import SLOW_READER, Connection
from services.realtime.sockets.context import Context
from services.realtime.sockets.limits import Limits
from services.realtime.storage.documents import Key
from services.realtime.usecases import records, replay
from services.realtime.usecases.awareness import MAX_CLIENTS
from services.realtime.usecases.metrics import LiveMetrics
from services.realtime.usecases.records import Opened
from services.realtime.usecases.rooms import Room
from services.realtime.usecases.subscribers import Subscription

FORBIDDEN, ABSENT, TOO_LARGE = 4403, 4404, 4413
"""A stock client comes back after any close code but those from 4400 to 4499."""
COME_BACK = 4500
REVIEW_SECONDS = 0.2
log = structlog.get_logger()


class Watcher:
    """Hears of the record's changes for a socket that may be concerned by them."""

    __slots__ = ("_connection", "id", "permissions", "principal")

    def __init__(self, connection: "DocumentConnection") -> None:
        self._connection = connection
        self.id = connection.id
        self.principal = connection.principal
        self.permissions = connection.permissions

    def deliver(self, frame: Frame) -> None:
        """Takes any news as a reason to look again."""
        self._connection.stir()

    def made(self, operation_id: str) -> bool:
        """Nothing is its own."""
        return False

    async def ready(self) -> None:
        """Keeps nobody waiting."""


class DocumentConnection(Connection):
    """A socket of a shared document; `opened` is what it may do there."""

    __slots__ = ("_context", "_review", "_stirred", "_watch", "key", "opened", "owner", "room")

    def __init__(self, context: Context, send: Send, limits: Limits, metrics: LiveMetrics, address: str) -> None:
        super().__init__(send, limits, metrics, address)
        self.key: Key
        self.room: Room
        self.opened: Opened
        self.owner = ""
        self._context = context
        self._watch: Subscription | None = None
        self._stirred = asyncio.Event()
        self._review: asyncio.Task[None] | None = None

    async def enter(self, key: Key, opened: Opened, room: Room) -> None:
        """Takes part in a document from now on."""
        self.key, self.opened, self.room = key, opened, room
        self.owner = str(self.principal.id)
        room.enter(self)
        self._review = asyncio.create_task(self._keep_reviewing())
        if opened.ruled:
            await self._follow()

    async def leave(self) -> None:
        """Takes part no more."""
        if self._review is not None:
            self._review.cancel()
        self._unfollow()
        await self.room.leave(self)

    def bring(self, message: bytes) -> None:
        """Sends a message, or queues it, and never waits."""
        frame = Frame.of({"type": "websocket.send", "bytes": message})
        frame.size = len(message)
        self.deliver(frame)

    def deny(self, error: AppError) -> None:
        """Tells that something is not allowed or possible, and closes."""
        self._end(error.detail, code_of(error))

    def tell(self, message: Message) -> None:
        """Says nothing: a client of documents knows no such messages."""

    def stir(self) -> None:
        """Has it looked at again what the client may do."""
        self._stirred.set()

    async def reviewed(self) -> None:
        """Looks again at what the client may do, after its roles have changed."""
        self._unfollow()
        await self._reconsider()

    def close(self, last: Message | None, code: int) -> None:
        """Tells why, where there is a reason, and closes."""
        self._end(last.detail if isinstance(last, Failed) else None, code)

    def dismiss(self) -> None:
        """Closes because the server ends; clients come back at moments of their own."""
        self._end(None, 1012)

    async def take(self, message: bytes) -> None:
        """Answers one message; raises what is wrong with it."""
        kind, step, content = rules.read(message)
        if kind == QUERY_AWARENESS:
            self.room.answer_awareness(self)
        elif kind == AWARENESS:
            await self.room.speak(self, rules.read_awareness(content, MAX_CLIENTS))
        elif kind == SYNC and step == STEP_1:
            self.room.answer_step_1(self, content)
        elif content != NOTHING and (step == UPDATE or self.room.lacks(content)):
            await self._write(content)

    async def _write(self, update: bytes) -> None:
        if not self.opened.writable:
            self.bring(rules.denied("You may read this document, and not change it"))
            return
        by = self.principal
        await self.room.write(self, update, Editor(by.id, by.kind, by.name, by.roles, by.actor))

    def _unfollow(self) -> None:
        if self._watch is not None:
            self._context.live.hubs.detach(self._watch)
            self._watch = None

    async def _follow(self) -> None:
        live = self._context.live
        subscription = Subscription(Watcher(self), Channel("record", self.key.record_id), self.opened.pipeline_id)
        await live.definitions.get_or_bare(self.key.tenant_id, self.opened.pipeline_id)
        with live.hubs.opened(self.key.tenant_id) as hub:
            await hub.begun()
            await replay.join(hub, subscription, hub.position)
            self._watch = subscription
        self.stir()

    async def _keep_reviewing(self) -> None:
        while True:
            await self._stirred.wait()
            await asyncio.sleep(REVIEW_SECONDS)
            self._stirred.clear()
            await self._reconsider()

    async def _reconsider(self) -> None:
        try:
            bus, token = self._context.live.bus, self.principal.token
            self.opened = await records.open_document(bus, token, self.key.record_id, self.key.field)
            if self.opened.ruled and (self._watch is None or not self._watch.live):
                await self._follow()
        except AppError as error:
            self.deny(error)

    def _end(self, reason: str | None, code: int) -> None:
        if not self.closed:
            denial = None if reason is None else Frame.of({"type": "websocket.send", "bytes": rules.denied(reason)})
            self._outlet.end(denial, code)

    def _too_slow(self) -> None:
        self._metrics.slow.inc()
        self._outlet.end(None, COME_BACK + SLOW_READER % 100, now=True)
        asyncio.get_running_loop().call_later(self.limits.slow_reader_seconds, self._abandon)


def code_of(error: AppError) -> int:
    """The close code of an error: from 4400 where coming back is of no use, from 4500 where it is."""
    match error:
        case Unauthenticated():
            return 4401
        case Forbidden():
            return FORBIDDEN
        case NotFound():
            return ABSENT
        case TooLarge():
            return TOO_LARGE
        case RateLimited():
            return COME_BACK + 29
        case Unavailable():
            return COME_BACK + 3
        case _:
            return 4400


async def serve(context: Context, connection: DocumentConnection, receive: Receive, place: tuple[UUID, str]) -> None:
    """Serves an authenticated socket for as long as it lives."""
    principal, position = connection.principal, context.live.bus.position
    key = Key(principal.tenant_id, *place)
    try:
        context.rates.join(principal)
        opened = await records.open_document(context.live.bus, principal.token, *place)
        async with context.documents.opened(key, opened.pipeline_id, opened.text, position) as room:
            try:
                await connection.enter(key, opened, room)
                await _listen(context, connection, receive)
            finally:
                await connection.leave()
    except AppError as error:
        connection.deny(error)
    except Exception as error:
        await log.aerror("a document's socket failed", error=repr(error), exc_info=True)
        connection.close(None, COME_BACK)
    else:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(connection.limits.slow_reader_seconds):
            while (await receive())["type"] != "websocket.disconnect":
                pass


async def _listen(context: Context, connection: DocumentConnection, receive: Receive) -> None:
    while True:
        message: Any = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if connection.closed:
            continue
        if not connection.bucket.take():
            raise RateLimited("Messages come too fast", code="too-many-frames", retry_after=1)
        context.rates.frame(connection.principal)
        data = message.get("bytes")
        if data is None:
            raise Malformed("Documents are spoken of in binary messages")
        await connection.take(data)

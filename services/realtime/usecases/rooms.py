"""A shared document that somebody on this node has open.

An update is durable before anybody is told of it: appended to the document's log under the next number, applied
here, sent to the others here, and told to the other nodes on `docs.<tenant>.<record>` of plain NATS. Whoever sees a
number too far, or nothing for a while, reads the log; so words may be lost, and updates are not. What a client sent and
the log did not take yet is in no state that the server tells, so a client that reconnects sends it again.
"""

import asyncio
import base64
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pycrdt import Doc, Text

from libs.common.bus import Bus
from libs.common.errors import AppError, Invalid, Malformed, NotFound, RateLimited, TooLarge, Unavailable
from libs.common.ids import new_id
from libs.common.postgres import Database
from libs.common.resilience import deadline, end, keep_running
from services.realtime.domain import documents as rules
from services.realtime.domain.documents import Editor, State
from services.realtime.storage import documents
from services.realtime.storage.documents import Key
from services.realtime.usecases.awareness import Awareness
from services.realtime.usecases.words import Word, subject, tell

CHECK_SECONDS = 5.0
RETRY_SECONDS = 0.5
WRITE_SECONDS = 10.0
MAX_TOLD = 512 * 1024
MAX_PENDING = 1_000
log = structlog.get_logger()


class Bounds(msgspec.Struct, frozen=True):
    """How large a document may become, how many may have it open on a node, and when its text is written (seconds)."""

    document_bytes: int
    clients: int
    soon: float
    latest: float


class Member(Protocol):
    """A socket that has a document open."""

    id: str
    owner: str

    def bring(self, message: bytes) -> None:
        """Sends a message, or queues it, and never waits."""

    def deny(self, error: AppError) -> None:
        """Tells that something could not be done, and ends."""


@dataclass(slots=True)
class Pending:
    """An update on its way into the log."""

    update: bytes
    by: Editor
    member: str
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Room:
    """One open document."""

    def __init__(self, key: Key, bus: Bus, database: Database, bounds: Bounds) -> None:
        self.key = key
        self._id = str(new_id())
        self.members: dict[str, Member] = {}
        self.users = 0
        self._bus = bus
        self._database = database
        self._bounds = bounds
        self._doc: Doc[Text] = Doc()
        self._seq = 0
        self._awareness = Awareness()
        self._pending: deque[Pending] = deque()
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, pipeline_id: UUID, text: str, position: int) -> None:
        """Reads the document, or makes it with a text that was read after a position; raises what keeps it from it."""
        async with self._turn:
            if self._ready.is_set():
                return
            async with self._database.tenant(self.key.tenant_id) as connection:
                if await documents.get(connection, self.key) is None:
                    await documents.create(connection, self.key, pipeline_id, rules.begin(text), position)
            subscription = await self._bus.client.subscribe(subject(self.key), cb=self._hear)
            try:
                await self._load()
            except BaseException:
                with suppress(nats.errors.Error, OSError):
                    await subscription.unsubscribe()
                raise
            self._tasks = [
                asyncio.create_task(keep_running("document log", self._log, cap=1.0)),
                asyncio.create_task(keep_running("document watch", self._watch, cap=CHECK_SECONDS)),
                asyncio.create_task(_until_ended(subscription)),
            ]
            self._ready.set()
        await self._tell(Word(self._id, self.key.field, asks=True))

    async def close(self) -> None:
        """Ends it, after what clients sent is in the log, as far as it can be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS * 4):
                await asyncio.gather(*(one.done for one in list(self._pending)), return_exceptions=True)
        await end(self._tasks)

    def enter(self, member: Member) -> None:
        """Takes a socket in: it is asked for what it has, and told who is there."""
        if len(self.members) >= self._bounds.clients:
            raise RateLimited("The document is open in too many places", code="too-many-clients", retry_after=5)
        self.members[member.id] = member
        member.bring(rules.step_1(self._doc))
        self.answer_awareness(member)

    async def leave(self, member: Member) -> None:
        """Lets a socket go, and tells the others that its clients have left."""
        self.members.pop(member.id, None)
        if gone := self._awareness.leave(member.id):
            self._send(rules.awareness(gone))
            await self._tell(Word(self._id, self.key.field, states=tuple(gone)))

    def answer_step_1(self, member: Member, state: bytes) -> None:
        """Brings a socket what it lacks."""
        member.bring(rules.step_2(rules.difference(self._doc, state)))

    def lacks(self, update: bytes) -> bool:
        """Whether an update has anything new; raises Malformed."""
        rules.check(update)
        return rules.is_news(self._doc, update)

    def answer_awareness(self, member: Member) -> None:
        """Tells a socket who is there."""
        if states := self._awareness.present():
            member.bring(rules.awareness(states))

    async def write(self, member: Member, update: bytes, by: Editor) -> None:
        """Has an update logged, and tells the others; raises Malformed, TooLarge or Unavailable."""
        rules.check(update)
        if len(self._pending) >= MAX_PENDING:
            raise Unavailable("The document cannot be written now", code="document-behind", retry_after=2)
        pending = Pending(update, by, member.id)
        self._pending.append(pending)
        self._wake.set()
        async with deadline(WRITE_SECONDS, "The log of documents"):
            await asyncio.shield(pending.done)

    async def speak(self, member: Member, states: list[State]) -> None:
        """Takes in what a socket says of its clients, and tells all, itself included: so it knows that it is heard."""
        own = self._awareness.speak(member.id, member.owner, states)
        if own:
            self._send(rules.awareness(own))
            await self._tell(Word(self._id, self.key.field, states=tuple(own)))

    def _send(self, message: bytes, but: str = "") -> None:
        for member in list(self.members.values()):
            if member.id != but:
                member.bring(message)

    async def _load(self) -> None:
        async with self._database.tenant(self.key.tenant_id) as connection:
            stored = await documents.get(connection, self.key, hold=True)
            updates = await documents.updates(connection, self.key, stored.compacted) if stored else []
        if stored is None:
            raise NotFound("The document is gone", code="document-gone")
        self._doc = rules.build([stored.snapshot, *(one.data for one in updates)])
        self._seq = stored.last

    async def _log(self) -> None:
        """Appends what clients send, many at once where they come fast."""
        while True:
            if not self._pending:
                self._wake.clear()
                await self._wake.wait()
            await self._append(list(self._pending))

    async def _append(self, batch: list[Pending]) -> None:
        try:
            update, by = rules.join([one.update for one in batch]), batch[-1].by
            await asyncio.to_thread(rules.fits, self._doc.get_update(), update)
        except Malformed as error:
            if len(batch) > 1:
                return await self._append(batch[: len(batch) // 2])
            self._pending.popleft()
            return self._refuse(batch, error)
        try:
            async with self._turn, self._database.tenant(self.key.tenant_id) as connection:
                bounds = self._bounds
                seq = await documents.append(
                    connection, self.key, update, by, bounds.document_bytes, bounds.soon, bounds.latest
                )
        except Unavailable:
            await asyncio.sleep(RETRY_SECONDS)
            return
        for _ in batch:
            self._pending.popleft()
        if seq is None:
            too_large = TooLarge("The document is as large as it may be, or gone", code="document-too-large")
            return self._refuse(batch, too_large)
        only = {one.member for one in batch}
        try:
            async with self._turn:
                if seq == self._seq + 1:
                    self._apply(seq, update, only.pop() if len(only) == 1 else "")
                elif seq > self._seq:
                    await self._catch_up()
        finally:
            for one in batch:
                if not one.done.done():
                    one.done.set_result(None)
        text = base64.b64encode(update).decode() if len(update) <= MAX_TOLD else ""
        await self._tell(Word(self._id, self.key.field, seq, text))

    def _refuse(self, batch: list[Pending], error: AppError) -> None:
        for one in batch:
            if not one.done.done():
                one.done.set_exception(error)

    def _apply(self, seq: int, update: bytes, but: str = "") -> None:
        try:
            rules.apply(self._doc, update)
        except Invalid as error:
            self._end(error)
            raise
        self._seq = seq
        self._send(rules.updated(update), but)

    async def _catch_up(self) -> None:
        """Reads what the log has beyond; where that was compacted meanwhile, all of it."""
        async with self._database.tenant(self.key.tenant_id) as connection:
            stored = await documents.get(connection, self.key, hold=True)
            updates = await documents.updates(connection, self.key, self._seq) if stored else []
        if stored is None:
            return self._end(NotFound("The document is gone", code="document-gone"))
        if stored.compacted > self._seq:
            self._apply(stored.compacted, stored.snapshot)
        for one in updates:
            if one.seq > self._seq:
                self._apply(one.seq, one.data)

    def _end(self, error: AppError) -> None:
        for member in list(self.members.values()):
            member.deny(error)

    async def _watch(self) -> None:
        """Looks into the log every so often, in case words were lost."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            async with self._database.tenant(self.key.tenant_id) as connection:
                last = await documents.last(connection, self.key)
            if last is None:
                self._end(NotFound("The document is gone", code="document-gone"))
            elif last > self._seq:
                async with self._turn:
                    await self._catch_up()

    async def _hear(self, message: Msg) -> None:
        try:
            word = msgspec.json.decode(message.data, type=Word)
        except msgspec.MsgspecError as error:
            await log.awarning("a word could not be read", subject=message.subject, error=repr(error))
            return
        if word.field != self.key.field or word.room == self._id:
            return
        await self._ready.wait()
        if word.seq:
            await self._heard(word)
        if states := self._awareness.hear(word.states):
            self._send(rules.awareness(states))
        if word.asks and (states := self._awareness.own()):
            await self._tell(Word(self._id, self.key.field, states=tuple(states)))

    async def _heard(self, word: Word) -> None:
        with suppress(AppError):
            async with self._turn:
                if word.seq == self._seq + 1 and word.update:
                    self._apply(word.seq, base64.b64decode(word.update))
                elif word.seq > self._seq:
                    await self._catch_up()

    async def _tell(self, word: Word) -> None:
        await tell(self._bus, self.key, word)


async def _until_ended(subscription: Subscription) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        with suppress(nats.errors.Error, OSError):
            await subscription.unsubscribe()

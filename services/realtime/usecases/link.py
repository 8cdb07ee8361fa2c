"""What nodes tell each other about a tenant's sockets, on `live.<tenant>.<what>` of core NATS; nothing is kept."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.resilience import end, keep_running
from services.realtime.domain.locks import Lock
from services.realtime.storage.presence import Entry

log = structlog.get_logger()


class Word(msgspec.Struct, frozen=True, tag_field="what"):
    """The base of what is told; `node` is who tells it."""

    node: str
    channel: str


class Came(Word, frozen=True, tag="join"):
    """A connection came into a channel."""

    entry: Entry


class Went(Word, frozen=True, tag="leave"):
    """A connection left a channel."""

    entry: Entry


class Shown(Word, frozen=True, tag="show"):
    """A frame for those in a channel who may read a field (or for all, where there is none), but for its sender."""

    connection: str
    field: str | None
    frame: str


class Seized(Word, frozen=True, tag="lock"):
    """A connection holds a field of a record, or holds it still."""

    lock: Lock


class Freed(Word, frozen=True, tag="unlock"):
    """A connection has let go of a field."""

    lock: Lock


class Told(Word, frozen=True, tag="notify"):
    """A frame for one user, wherever they are; its node is none, so that every node takes it in."""

    user: UUID
    frame: str


AnyWord = Came | Went | Shown | Told | Seized | Freed


class Voice:
    """Tells users on all nodes, from wherever something happened. Where the broker is away, words are lost."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def notify(self, tenant_id: UUID, user_id: UUID, frame: str) -> None:
        """Sends a frame to one user's sockets."""
        word = Told("", "user", user_id, frame)
        with suppress(Unavailable, nats.errors.Error, OSError):
            await self._bus.client.publish(f"live.{tenant_id}.notify", msgspec.json.encode(word))


class Link:
    """The ear and voice of this node for one tenant. Where the broker is away, words are lost."""

    def __init__(self, bus: Bus, tenant_id: UUID, node: str, hear: Callable[[AnyWord], None]) -> None:
        self._bus = bus
        self._tenant_id = tenant_id
        self._node = node
        self._hear = hear
        self._ready = asyncio.Event()
        self._task = asyncio.create_task(keep_running(f"link {tenant_id}", self._listen, cap=1.0))

    async def ready(self) -> None:
        """Waits until nothing that others say is missed."""
        await self._ready.wait()

    async def tell(self, word: AnyWord) -> None:
        """Says a word to the other nodes."""
        what = str(type(word).__struct_config__.tag)
        with suppress(Unavailable, nats.errors.Error, OSError):
            await self._bus.client.publish(f"live.{self._tenant_id}.{what}", msgspec.json.encode(word))

    async def stop(self) -> None:
        """Stops listening."""
        await end([self._task])

    async def _listen(self) -> None:
        await self._bus.ready()
        subscription = await self._bus.client.subscribe(f"live.{self._tenant_id}.*", cb=self._receive)
        await self._bus.client.flush()
        self._ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            with suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

    async def _receive(self, message: Msg) -> None:
        try:
            word: AnyWord = msgspec.json.decode(message.data, type=AnyWord)
        except msgspec.MsgspecError as error:
            log.warning("a word could not be read", subject=message.subject, error=repr(error))
            return
        if word.node != self._node:
            self._hear(word)

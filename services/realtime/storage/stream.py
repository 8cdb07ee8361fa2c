"""Reading back the stream of events, without a consumer: JetStream's batched direct get (NATS ADR-31)."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.js.errors import APIError

from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.events import STREAM

BATCH = 250
BATCH_BYTES = 4 * 1024 * 1024
SECONDS = 5.0
LAG_PAUSE = 0.1
LAG_QUESTIONS = 10


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as the stream keeps it."""

    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first and last sequence number that the stream has."""

    first: int
    last: int


class _Found(msgspec.Struct):
    seq: int


class _Answer(msgspec.Struct):
    message: _Found | None = None


def subject(tenant_id: UUID | None) -> str:
    """The subjects of a tenant's changes of records, or of all tenants'."""
    return f"evt.{tenant_id or '*'}.records.record.*"


async def bounds(bus: Bus) -> Bounds:
    """Where the stream begins and ends, as its leader says."""
    try:
        state = (await bus.jetstream.stream_info(STREAM)).state
    except (nats.errors.Error, APIError, TimeoutError, OSError) as error:
        raise _away() from error
    return Bounds(max(1, state.first_seq), state.last_seq)


async def ends_before(bus: Bus, position: int) -> bool:
    """Whether the stream has not come as far as a position that somebody knows.

    A server that has just become the leader may not have taken in all that is committed, so it is asked again.
    """
    for _ in range(LAG_QUESTIONS):
        if (await bounds(bus)).last >= position:
            return False
        await asyncio.sleep(LAG_PAUSE)
    return True


async def last(bus: Bus, tenant_id: UUID) -> int:
    """The sequence number of a tenant's last change, as the stream's leader says; 0 where there is none."""
    question = msgspec.json.encode({"last_by_subj": subject(tenant_id)})
    try:
        message = await bus.client.request(f"$JS.API.STREAM.MSG.GET.{STREAM}", question, timeout=SECONDS)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise _away() from error
    found = msgspec.json.decode(message.data, type=_Answer).message
    return found.seq if found else 0


async def read(bus: Bus, tenant_id: UUID | None, after: int, limit: int = BATCH) -> list[Stored]:
    """A tenant's changes (or all tenants') after a position, in order, up to a limit in number and bytes."""
    question = {"seq": after + 1, "next_by_subj": subject(tenant_id), "batch": limit, "max_bytes": BATCH_BYTES}
    try:
        async with asyncio.timeout(SECONDS):
            return await _ask(bus, msgspec.json.encode(question))
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise _away() from error


async def read_to(bus: Bus, tenant_id: UUID, after: int, proof: int, limit: int = BATCH) -> list[Stored]:
    """Like `read`, where it is known that an event `proof` exists: a replica that lags is asked again, not believed."""
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                found = await read(bus, tenant_id, after, limit)
                if found or after >= proof:
                    return found
                await asyncio.sleep(LAG_PAUSE)
    except TimeoutError:
        raise _away() from None


async def _ask(bus: Bus, question: bytes) -> list[Stored]:
    """What the stream answers until it says that this was all."""
    client = bus.client
    inbox = client.new_inbox()
    found: list[Msg] = []
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def take(message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if not status:
            found.append(message)  # What it says is read below, where it would be heard if that failed.
        elif not ended.done():
            ended.set_result(status)

    subscription = await client.subscribe(inbox, cb=take)
    try:
        await client.publish(f"$JS.API.DIRECT.GET.{STREAM}", question, reply=inbox)
        if (status := await ended) not in ("204", "404"):
            raise nats.errors.Error(f"the stream answered {status}")
        return [_stored(message) for message in found]
    finally:
        await subscription.unsubscribe()


def _stored(message: Msg) -> Stored:
    return Stored(int((message.headers or {})["Nats-Sequence"]), message.data)


def _away() -> Unavailable:
    return Unavailable("The stream of changes is away", code="broker-unavailable", retry_after=2)

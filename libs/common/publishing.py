"""Publishing to a stream of JetStream: many messages on their way at once, and one wait for what all are answered."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

_STATUS = "Status"


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A message for the stream; `message_id` is what JetStream deduplicates by."""

    subject: str
    payload: bytes
    message_id: str
    traceparent: str | None = None

    def headers(self) -> dict[str, str]:
        """What it carries besides."""
        headers = {"Nats-Msg-Id": self.message_id}
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        return headers


class Refusal(msgspec.Struct, frozen=True):
    """Why the stream did not take a message."""

    description: str = ""


class Ack(msgspec.Struct, frozen=True):
    """What the stream answers: where a message is, and whether it was there before."""

    seq: int = 0
    duplicate: bool = False
    error: Refusal | None = None


@dataclass(slots=True)
class _Sent:
    """Messages that are on their way, and what was answered so far."""

    missing: int
    done: asyncio.Future[None]
    acks: list[Ack] = field(default_factory=list)

    def answer(self, message: Msg) -> None:
        if self.done.done():
            return
        try:
            self.acks.append(_ack(message))
        except (nats.errors.Error, msgspec.MsgspecError) as error:
            self.done.set_exception(error)
            return
        self.missing -= 1
        if not self.missing:
            self.done.set_result(None)


class Publisher:
    """Publishes over one connection. The answers come to one inbox, by the number of what was sent together."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._numbers = count()
        self._sent: dict[str, _Sent] = {}

    async def start(self) -> None:
        """Listens to answers from now on, also when the connection was lost and stands again."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._answered)

    async def publish(self, messages: Sequence[Outgoing]) -> list[Ack]:
        """Publishes in order, and returns what the stream answered when it took all; raises where it did not."""
        if not messages:
            return []
        number = str(next(self._numbers))
        sent = _Sent(len(messages), asyncio.get_running_loop().create_future())
        self._sent[number] = sent
        reply = f"{self._inbox}.{number}"
        try:
            for message in messages:
                await self._client.publish(message.subject, message.payload, reply=reply, headers=message.headers())
            await sent.done
        finally:
            del self._sent[number]
            if sent.done.done() and not sent.done.cancelled():
                sent.done.exception()  # it is raised above, or something else was before it
        return sent.acks

    async def _answered(self, message: Msg) -> None:
        sent = self._sent.get(message.subject.rpartition(".")[2])
        if sent is not None:
            sent.answer(message)


def _ack(message: Msg) -> Ack:
    if status := (message.headers or {}).get(_STATUS):
        raise nats.errors.Error(f"the stream answered {status}")
    ack = msgspec.json.decode(message.data, type=Ack)
    if ack.error is not None:
        raise nats.errors.Error(ack.error.description)
    return ack

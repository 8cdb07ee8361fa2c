"""The frames that a server sends, a Struct each; `type` names it."""

from typing import Any
from uuid import UUID

import msgspec

from libs.common.errors import AppError, Fault


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """The base of server frames."""


class Person(msgspec.Struct, frozen=True):
    """A principal as others see it."""

    id: UUID
    name: str


class Present(msgspec.Struct, frozen=True):
    """One connection in a channel."""

    user: Person
    connection: str


class Authenticated(Message, frozen=True, kw_only=True, tag="authenticated"):
    """Who the socket belongs to, and until when (epoch seconds) unless it authenticates again."""

    user: Person
    tenant_id: UUID
    connection: str
    expires_at: float


class Subscribed(Message, frozen=True, kw_only=True, tag="subscribed"):
    """Nothing of the channel after `seq` will be missed."""

    channel: str
    seq: int
    presence: list[Present]


class Unsubscribed(Message, frozen=True, kw_only=True, tag="unsubscribed"):
    """The channel is left."""

    channel: str


class RecordMessage(msgspec.Struct, frozen=True):
    """`record_created`, `record_updated`, `record_deleted`, `record_entered`, `record_left`."""

    type: str
    channel: str
    seq: int
    record: msgspec.Raw
    changed: list[str]


class Groups(Message, frozen=True, kw_only=True, tag="groups"):
    """The groups of a view as `GET …/aggregate` shows them, with everything up to `seq` counted."""

    channel: str
    seq: int
    groups: msgspec.Raw


class FieldUpdated(Message, frozen=True, kw_only=True, tag="field_update"):
    """Somebody set a field."""

    channel: str
    record_id: UUID
    field: str
    value: msgspec.Raw
    version: int
    operation_id: str
    user: Person | None
    seq: int


class Ack(Message, frozen=True, kw_only=True, tag="ack"):
    """The sender's own field update is stored."""

    operation_id: str
    version: int


class Conflict(Message, frozen=True, kw_only=True, tag="conflict"):
    """Another change of the same field came first; or, where there is a `holder`, somebody has locked the field."""

    operation_id: str
    field: str
    base: Any
    current: Any
    attempted: Any
    version: int | None
    holder: Any = None


class PresenceJoin(Message, frozen=True, kw_only=True, tag="presence_join"):
    """A connection came into the channel."""

    channel: str
    user: Person
    connection: str


class PresenceLeave(Message, frozen=True, kw_only=True, tag="presence_leave"):
    """A connection left the channel."""

    channel: str
    user: Person
    connection: str


class Focused(Message, frozen=True, kw_only=True, tag="focus"):
    """Somebody is at a field; null is at none."""

    channel: str
    record_id: UUID
    field: str | None
    user: Person
    connection: str


class Pointed(Message, frozen=True, kw_only=True, tag="cursor"):
    """Somebody's cursor moved; `position` is what that client sent."""

    channel: str
    record_id: UUID
    field: str | None
    position: msgspec.Raw
    user: Person
    connection: str


class Locked(Message, frozen=True, kw_only=True, tag="locked"):
    """Somebody holds a field. Its holder alone is told the token, and after how many seconds of silence it ends."""

    channel: str
    record_id: UUID
    field: str
    user: Person
    connection: str
    token: int | None = None
    expires_in: float | None = None


class Unlocked(Message, frozen=True, kw_only=True, tag="unlocked"):
    """Nobody holds the field any more."""

    channel: str
    record_id: UUID
    field: str
    user: Person
    connection: str


class Notified(Message, frozen=True, kw_only=True, omit_defaults=False, tag="notification"):
    """The user is told of something, as `GET /notifications` shows it."""

    notification: dict[str, Any]
    channel: str = "user"


class JobUpdated(Message, frozen=True, kw_only=True, omit_defaults=False, tag="job_updated"):
    """A job of the user's has come further, as `GET /jobs/{id}` shows it."""

    job: msgspec.Raw
    channel: str = "user"


class ResyncRequired(Message, frozen=True, kw_only=True, tag="resync_required"):
    """The subscription has ended because changes may have been missed: read anew, then subscribe from there.

    Without a channel it is about all of the socket's subscriptions.
    """

    seq: int
    channel: str | None = None


class Reconnect(Message, frozen=True, kw_only=True, tag="reconnect"):
    """The server is about to end; connect again after so many milliseconds."""

    after_ms: int


class Failed(Message, frozen=True, kw_only=True, tag="error"):
    """Something could not be done."""

    code: str
    detail: str
    operation_id: str | None = None
    channel: str | None = None
    errors: tuple[Fault, ...] = ()
    holder: Any = None


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    """The answer to a ping."""


class Frame:
    """An encoded message, shared by all who get it; `event` is what ASGI sends."""

    __slots__ = ("event", "size")

    def __init__(self, text: str) -> None:
        self.event: dict[str, object] = {"type": "websocket.send", "text": text}
        self.size = len(text)

    @classmethod
    def of(cls, event: dict[str, object]) -> "Frame":
        """A frame that is another kind of ASGI event."""
        frame = cls("")
        frame.event = event
        return frame


_encoder = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> str:
    """The text of a frame."""
    return _encoder.encode(message).decode()


def failed(error: AppError, operation_id: str | None = None, channel: str | None = None) -> Failed:
    """The frame that tells of an error; an unexpected one tells nothing of itself."""
    detail = error.detail if error.kind != "internal" else "An unexpected error occurred"
    return Failed(
        code=error.code, detail=detail, operation_id=operation_id, channel=channel, errors=error.errors,
        holder=error.extra.get("holder"),
    )  # fmt: skip

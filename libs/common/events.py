"""Events as they travel: CloudEvents 1.0 in JSON, on subjects `evt.<tenant>.<context>.<entity>.<verb>`."""

from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.ids import new_id

T = TypeVar("T")

STREAM = "EVENTS"
MAX_AGE_SECONDS = 7 * 24 * 3600


class Envelope(msgspec.Struct, frozen=True):
    """A CloudEvent as it is received; `data` is decoded by the listener's own Struct."""

    id: UUID
    source: str
    type: str
    subject: str
    time: str
    tenantid: UUID
    data: msgspec.Raw
    specversion: str = "1.0"


class Event(msgspec.Struct, Generic[T], frozen=True):
    """An event with its data decoded, and its position in the stream (0 where it did not come from the stream)."""

    id: UUID
    type: str
    time: str
    tenant_id: UUID
    seq: int
    data: T


class NewEvent(msgspec.Struct, frozen=True):
    """An event about to be written to the outbox. `type` is `<context>.<entity>.<verb>`, `subject` the entity's id."""

    type: str
    subject: UUID
    data: msgspec.Struct | msgspec.Raw


class _Document(msgspec.Struct, frozen=True, gc=False):
    """An event as it is written."""

    specversion: str
    id: UUID
    source: str
    type: str
    subject: UUID
    time: str
    tenantid: UUID
    data: msgspec.Struct | msgspec.Raw


_encoder = msgspec.json.Encoder()


def encode(tenant_id: UUID, event: NewEvent, at: datetime | None = None) -> tuple[UUID, str, str]:
    """Event id, NATS subject and JSON text of a new event, which happened then or else now."""
    event_id, source = new_id(), event.type.partition(".")[0]
    time = clock.rfc3339(at or clock.now())
    document = _Document("1.0", event_id, f"/millrace/{source}", event.type, event.subject, time, tenant_id, event.data)
    return event_id, f"evt.{tenant_id}.{event.type}", _encoder.encode(document).decode()


def decode(payload: bytes, data_type: type[T], seq: int = 0) -> Event[T]:
    """Reads an event, taking from its data only what the listener's Struct declares."""
    envelope = msgspec.json.decode(payload, type=Envelope)
    data = msgspec.json.decode(envelope.data, type=data_type)
    return Event(envelope.id, envelope.type, envelope.time, envelope.tenantid, seq, data)

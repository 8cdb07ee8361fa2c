"""What those who have a document open tell each other, on `docs.<tenant>.<record>` of plain NATS; nothing is kept."""

from contextlib import suppress

import msgspec
import nats.errors

from libs.common.bus import Bus
from libs.common.errors import Unavailable
from services.realtime.domain.documents import State
from services.realtime.storage.documents import Key


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """What others who have a document open are told: an update, where it is small enough, or who is there.

    `room` is who tells it.
    """

    room: str
    field: str
    seq: int = 0
    update: str = ""
    states: tuple[State, ...] = ()
    asks: bool = False


async def tell(bus: Bus, key: Key, word: Word) -> None:
    """Says a word to the others who have a document open."""
    with suppress(Unavailable, nats.errors.Error, OSError):
        await bus.client.publish(subject(key), msgspec.json.encode(word))


def subject(key: Key) -> str:
    """Where the words of a record's documents are told."""
    return f"docs.{key.tenant_id}.{key.record_id}"

from uuid import UUID

import msgspec

from libs.common import events
from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.realtime.domain.messages import Frame, JobUpdated, encode
from services.realtime.storage import documents, notifications
from services.realtime.usecases.hubs import Hubs


class Owned(msgspec.Struct, frozen=True):
    """Whose job it is."""

    created_by: UUID


class Buried(msgspec.Struct, frozen=True):
    """A record that is gone for good."""

    id: UUID


def forget_buried(bus: Bus, database: Database) -> None:
    """Lets go of what is told of records that are gone for good."""
    bus.consume(Consumer("realtime-tombstones", "evt.*.records.tombstone.created", Buried, _forget), database)


async def _forget(connection: Connection, event: Event[Buried]) -> None:
    await notifications.forget_record(connection, event.tenant_id, event.data.id)
    await documents.forget_record(connection, event.tenant_id, event.data.id)


def follow_jobs(bus: Bus, hubs: Hubs) -> None:
    """Tells people on their own channel how far their jobs are."""

    async def hear(payload: bytes) -> None:
        event = events.decode(payload, msgspec.Raw)
        hub = hubs.get(event.tenant_id)
        if hub is not None:
            frame = Frame(encode(JobUpdated(job=event.data)))
            hub.tell(msgspec.json.decode(event.data, type=Owned).created_by, frame)

    bus.listen("evt.*.records.job.*", hear)

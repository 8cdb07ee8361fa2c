from uuid import UUID

import msgspec

from libs.common import events
from libs.common.bus import Bus
from services.realtime.domain.messages import Frame, JobUpdated, encode
from services.realtime.usecases.hubs import Hubs


class Owned(msgspec.Struct, frozen=True):
    """Whose job it is."""

    created_by: UUID


def follow_jobs(bus: Bus, hubs: Hubs) -> None:
    """Tells people on their own channel how far their jobs are."""

    async def hear(payload: bytes) -> None:
        event = events.decode(payload, msgspec.Raw)
        hub = hubs.get(event.tenant_id)
        if hub is not None:
            frame = Frame(encode(JobUpdated(job=event.data)))
            hub.tell(msgspec.json.decode(event.data, type=Owned).created_by, frame)

    bus.listen("evt.*.records.job.*", hear)

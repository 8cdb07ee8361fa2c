"""What realtime tells itself: the owner of a webhook learns that it was disabled."""

from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.realtime.domain.notifications import Notification
from services.realtime.usecases.noticing import Notifier


class Disabled(msgspec.Struct, frozen=True):
    """The webhook that an event speaks of."""

    id: UUID
    url: str
    owner_id: UUID
    reason: str | None = None


def follow(bus: Bus, database: Database, notifier: Notifier) -> None:
    """Notifies owners, durably."""

    async def note(connection: Connection, event: Event[Disabled]) -> None:
        it = event.data
        told = Notification(
            id=new_id(), user_id=it.owner_id, event_id=event.id, kind="webhook_disabled", title=it.url,
            data={"webhook_id": str(it.id), "reason": it.reason}, created_at=clock.now(),
        )  # fmt: skip
        await notifier.write(connection, event.tenant_id, [told])

    bus.consume(Consumer("realtime-webhooks", "evt.*.realtime.webhook.disabled", Disabled, note), database)

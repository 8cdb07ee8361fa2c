"""What realtime tells of webhooks and the audit log keeps: they carry data out of the organization."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.auth.domain.audit import Party
from services.auth.usecases.context import Context


class Webhook(msgspec.Struct):
    """What of a webhook is worth an audit line."""

    id: UUID
    url: str
    state: str
    reason: str | None
    actor_id: UUID | None


def consume(bus: Bus, database: Database, context: Context) -> None:
    """Begins to follow webhooks, durably."""

    async def note(connection: Connection, event: Event[Webhook]) -> None:
        it = event.data
        details = {"state": it.state, "reason": it.reason, "event": str(event.id)}
        by = Party("user", it.actor_id) if it.actor_id else None
        action = event.type.removeprefix("realtime.")
        await context.audit.note(
            connection, event.tenant_id, action, by, Party("webhook", it.id, it.url), details=details
        )

    bus.consume(Consumer("auth-audit-webhooks", "evt.*.realtime.webhook.*", Webhook, note), database)

"""What pipelines tells of and the audit log keeps: who may see which fields depends on definitions."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.auth.domain.audit import Party
from services.auth.usecases.context import Context


class Definition(msgspec.Struct):
    """What of a pipeline or a type of relationships is worth an audit line."""

    id: UUID
    name: str
    version: int


def consume(bus: Bus, database: Database, context: Context) -> None:
    """Begins to follow definitions, durably."""

    async def note(connection: Connection, event: Event[Definition]) -> None:
        action = event.type.removeprefix("pipelines.")
        target = Party(action.partition(".")[0], event.data.id, event.data.name)
        details = {"version": event.data.version, "event": str(event.id)}
        await context.audit.note(connection, event.tenant_id, action, None, target, details=details)

    bus.consume(Consumer("auth-audit-pipelines", "evt.*.pipelines.>", Definition, note), database)

"""What pipelines tells of and the audit log keeps: who may see which fields depends on definitions."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.auth.domain.audit import Party
from services.auth.usecases.context import Context


class By(msgspec.Struct):
    """Who changed a definition."""

    id: UUID
    kind: str
    name: str


class Definition(msgspec.Struct):
    """What of a pipeline or a type of relationships is worth an audit line, and who changed it where that is told."""

    id: UUID
    name: str | None = None
    version: int | None = None
    by: By | None = None


def consume(bus: Bus, database: Database, context: Context) -> None:
    """Begins to follow definitions, durably."""

    async def note(connection: Connection, event: Event[Definition]) -> None:
        action, by = event.type.removeprefix("pipelines."), event.data.by
        if event.data.name is None:
            return  # Of something else, such as the end of a tenant.
        target = Party(action.partition(".")[0], event.data.id, event.data.name)
        actor = Party(by.kind, by.id, by.name) if by else None
        details = {"version": event.data.version, "event": str(event.id)}
        await context.audit.note(connection, event.tenant_id, action, actor, target, details=details)

    bus.consume(Consumer("auth-audit-pipelines", "evt.*.pipelines.>", Definition, note), database)

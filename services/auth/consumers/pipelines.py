"""What pipelines tells of: the audit log keeps it, and roles name fields as definitions do."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.filters.renaming import Renaming
from libs.common.postgres import Connection, Database
from services.auth.domain.audit import Party
from services.auth.usecases import renaming
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


class Move(msgspec.Struct):
    """Values that go by another name; one with `@` is in the trash."""

    old: str
    new: str


class Asked(msgspec.Struct):
    """What a version of a definition asks of records."""

    version: int
    moves: tuple[Move, ...] = ()


class Leading(msgspec.Struct):
    """A relation field, and the pipeline that it leads to."""

    pipeline_id: UUID
    field: str
    target: UUID


class Evolved(msgspec.Struct):
    """A definition, as far as its fields go by other names."""

    id: UUID
    version: int
    by: By | None = None
    pending: tuple[Asked, ...] = ()
    leading: tuple[Leading, ...] = ()

    @property
    def renaming(self) -> Renaming:
        """The same, for filters that come to these fields over relations."""
        return Renaming(self.id, self.renames, {(it.pipeline_id, it.field): it.target for it in self.leading})

    @property
    def renames(self) -> dict[str, str]:
        """The fields that this very version renames; what it still says of earlier ones was followed then."""
        moves = (move for asked in self.pending if asked.version == self.version for move in asked.moves)
        return {move.old: move.new for move in moves if "@" not in move.old + move.new}


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

    async def rename(connection: Connection, event: Event[Evolved]) -> None:
        if event.data.renames:
            by = event.data.by
            actor = Party(by.kind, by.id, by.name) if by else None
            await renaming.follow(context, connection, event.tenant_id, actor, event.data.renaming)

    bus.consume(Consumer("auth-roles-pipelines", "evt.*.pipelines.pipeline.updated", Evolved, rename), database)
    bus.consume(Consumer("auth-audit-pipelines", "evt.*.pipelines.>", Definition, note), database)

"""What records tells of and the audit log keeps: data that leaves, is opened to others, becomes one, or is gone."""

from typing import Any
from uuid import UUID

import msgspec

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.auth.domain.audit import Party
from services.auth.usecases.context import Context

# Of a job only its beginning and its end; in between it tells of itself once a second.
VERBS = frozenset(("created", "done", "failed", "cancelled"))


class By(msgspec.Struct):
    """Who did it."""

    id: UUID
    kind: str
    name: str


class Progress(msgspec.Struct):
    """How far a job came."""

    done: int


class Job(msgspec.Struct):
    """What of a job is worth an audit line."""

    id: UUID
    kind: str
    created_by: UUID
    progress: Progress
    pipeline_id: UUID | None = None


class Link(msgspec.Struct):
    """What is open to whoever has a link, in whose name."""

    id: UUID
    kind: str
    pipeline_id: UUID
    target_id: UUID | None
    owner_id: UUID


class Taken(msgspec.Struct):
    """A record that is gone for good, or a file that is read at once; nobody where an old event does not say it."""

    id: UUID
    pipeline_id: UUID
    by: By | None = None
    format: str | None = None


class Merging(msgspec.Struct):
    """Records that became one, or are apart again."""

    id: UUID
    pipeline_id: UUID
    target_id: UUID
    sources: list[UUID]
    by: By


def consume(bus: Bus, database: Database, context: Context) -> None:
    """Begins to follow them, durably."""

    async def note(
        connection: Connection, event: Event[Any], action: str, by: Party | None, target: Party, **details: object
    ) -> None:
        told = {name: str(it) for name, it in details.items() if it is not None}
        await context.audit.note(
            connection, event.tenant_id, action, by, target, details={**told, "event": str(event.id)}
        )

    async def job(connection: Connection, event: Event[Job]) -> None:
        it, verb = event.data, event.type.rpartition(".")[2]
        if it.kind != "export" or verb not in VERBS:
            return
        by, target = Party("user", it.created_by), Party("export", it.id)
        rows = it.progress.done if verb == "done" else None
        await note(connection, event, f"export.{verb}", by, target, pipeline_id=it.pipeline_id, records=rows)

    async def link(connection: Connection, event: Event[Link]) -> None:
        it, verb = event.data, event.type.rpartition(".")[2]
        target = Party("link", it.id)
        by = Party("user", it.owner_id)
        of = {"of": it.kind, "pipeline_id": it.pipeline_id, "target_id": it.target_id}
        await note(connection, event, f"link.{verb}", by, target, **of)

    async def purged(connection: Connection, event: Event[Taken]) -> None:
        it = event.data
        await note(connection, event, "record.purged", _by(it), Party("record", it.id), pipeline_id=it.pipeline_id)

    async def streamed(connection: Connection, event: Event[Taken]) -> None:
        it = event.data
        of = {"pipeline_id": it.pipeline_id, "format": it.format}
        await note(connection, event, "export.streamed", _by(it), Party("export", it.id), **of)

    async def merging(connection: Connection, event: Event[Merging]) -> None:
        it, action = event.data, "record.merged" if event.type.endswith(".created") else "record.parted"
        by, target = Party(it.by.kind, it.by.id, it.by.name), Party("record", it.target_id)
        of = {"pipeline_id": it.pipeline_id, "merge_id": it.id, "sources": ", ".join(map(str, it.sources))}
        await note(connection, event, action, by, target, **of)

    bus.consume(Consumer("auth-audit-merges", "evt.*.records.merge.*", Merging, merging), database)
    bus.consume(Consumer("auth-audit-jobs", "evt.*.records.job.*", Job, job), database)
    bus.consume(Consumer("auth-audit-links", "evt.*.records.link.*", Link, link), database)
    bus.consume(Consumer("auth-audit-purges", "evt.*.records.tombstone.created", Taken, purged), database)
    bus.consume(Consumer("auth-audit-exports", "evt.*.records.export.streamed", Taken, streamed), database)


def _by(it: Taken) -> Party | None:
    return Party(it.by.kind, it.by.id, it.by.name) if it.by else None

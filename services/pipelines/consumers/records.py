"""What `records` announces of the jobs that bring records along with a definition: done, or why not."""

from typing import Any
from uuid import UUID

import msgspec

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.pipelines.usecases import settle

KIND = "schema"


class Failure(msgspec.Struct, frozen=True):
    """Why a job failed."""

    code: str
    extra: dict[str, Any] = {}


class Job(msgspec.Struct, frozen=True):
    """A job that ended."""

    id: UUID
    kind: str
    state: str
    pipeline_id: UUID | None = None
    error: Failure | None = None


def listen(bus: Bus, database: Database) -> None:
    """Follows jobs."""
    bus.consume(Consumer("pipelines-jobs", "evt.*.records.job.*", Job, ended), database)


async def ended(connection: Connection, event: Event[Job]) -> None:
    """Notes that records follow a definition, or takes back what they do not fit."""
    job = event.data
    if job.kind != KIND or job.pipeline_id is None or job.state not in ("done", "failed", "cancelled"):
        return
    if job.state == "done":
        await settle.done(connection, event.tenant_id, job.pipeline_id, job.id)
    elif job.error is not None and job.error.code == "not-unique":
        fields = frozenset(str(name) for name in job.error.extra.get("fields", ()))
        await settle.not_unique(connection, event.tenant_id, job.pipeline_id, job.id, fields)
    else:
        await settle.again(connection, event.tenant_id, job.pipeline_id, job.id)

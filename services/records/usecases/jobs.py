"""Jobs as those who want them see them: ask for one, look, cancel."""

from uuid import UUID

from libs.common import outbox
from libs.common.errors import Conflict, NotFound, RateLimited
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.postgres import Connection
from services.records.domain.jobs import Job
from services.records.domain.reach import RESOURCE
from services.records.storage import jobs
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import SCHEMA

MAX_OPEN = 100
COMPUTE = "compute"
"""The kind of jobs that compute values of many records."""


async def enqueue(
    connection: Connection, by: Principal, kind: str, given: object, *, pipeline_id: UUID | None = None,
    total: int | None = None, job_id: UUID | None = None,
) -> Job:  # fmt: skip
    """A new job within the transaction that is open: it begins when that is committed, as the principal who asks."""
    if await jobs.open_jobs(connection, by.tenant_id) >= MAX_OPEN:
        raise RateLimited(f"At most {MAX_OPEN} jobs may wait or run at once", code="too-many-jobs", retry_after=10)
    job = await jobs.insert(connection, by, job_id or new_id(), kind, given, pipeline_id, total)
    await outbox.record(connection, by.tenant_id, [job.event("created")])
    return job


async def insert(
    connection: Connection, by: Principal, kind: str, given: object, pipeline_id: UUID, total: int | None = None,
    *, seconds: float = 0.0,
) -> Job:  # fmt: skip
    """A new job that follows from what is done within the transaction, and therefore cannot be refused; it begins after
    so many seconds.
    """
    job = await jobs.insert(connection, by, new_id(), kind, given, pipeline_id, total, seconds)
    await outbox.record(connection, by.tenant_id, [job.event("created")])
    return job


async def get(caller: Caller, job_id: UUID, kind: str | None = None) -> Job:
    """A job that the caller asked for, or of a pipeline that they manage."""
    async with caller.database.tenant(caller.tenant_id) as connection:
        job = await jobs.get(connection, caller.tenant_id, job_id)
    if job is None or (kind is not None and job.kind != kind) or not _may_see(caller, job):
        raise NotFound("There is no such job")
    return job


async def list_jobs(caller: Caller, before: UUID, kind: str | None, state: str | None, limit: int) -> list[Job]:
    """Up to one more than the limit of the jobs that may be seen, the newest first."""
    async with caller.database.tenant(caller.tenant_id) as connection:
        return await jobs.page(connection, caller.tenant_id, before, _maker(caller), kind, state, limit + 1)


async def count(caller: Caller, kind: str | None, state: str | None) -> int:
    """How many jobs may be seen."""
    async with caller.database.tenant(caller.tenant_id) as connection:
        return await jobs.count(connection, caller.tenant_id, _maker(caller), kind, state)


def _maker(caller: Caller) -> UUID | None:
    """Whose jobs the caller sees: None for all."""
    return None if caller.permissions.allow("manage", RESOURCE) else caller.principal.id


async def cancel(caller: Caller, job_id: UUID) -> Job:
    """The job, which ends where it is: what it did stays, and a step under way is the last."""
    kind = (await get(caller, job_id)).kind
    if kind == SCHEMA:
        raise Conflict("Records have to follow their definition; take that back instead", code="not-cancellable")
    if kind == COMPUTE:
        raise Conflict("Computed values have to follow what they are computed from", code="not-cancellable")
    async with caller.database.tenant(caller.tenant_id) as connection:
        await jobs.unqueue(connection, caller.tenant_id, job_id)
        ended = await jobs.finish(connection, caller.tenant_id, job_id, "cancelled")
        if ended is None:
            raise Conflict("The job has ended", code="job-ended")
        await outbox.record(connection, caller.tenant_id, [ended.event("cancelled")])
    return ended


def _may_see(caller: Caller, job: Job) -> bool:
    return job.principal.id == caller.principal.id or caller.permissions.allow("manage", RESOURCE, job.pipeline_id)

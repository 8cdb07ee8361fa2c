"""The job that computes values of many records anew: a step is some of them, and goes on where it was broken off."""

import asyncio
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.postgres import Connection
from services.records.domain.computing import Across
from services.records.domain.jobs import Job
from services.records.storage import computing, evolutions
from services.records.usecases import deriving, lagging
from services.records.usecases.following import NIL, Follower
from services.records.usecases.running import Steps

FENCE_SECONDS = 0.01


class Asked(msgspec.Struct, frozen=True):
    """Which records: those named, those for which a field looks at sources, or all; with `fence` only when all who
    write know of the computed fields. Or those of which values are `late`.
    """

    records: list[UUID] | None = None
    field: str | None = None
    sources: list[UUID] | None = None
    fence: bool = False
    late: bool = False


async def recompute(job: Job, steps: Steps) -> None:
    """Computes the values of records; those that somebody else writes are marked."""
    assert job.pipeline_id is not None
    asked = msgspec.convert(job.input, Asked)
    if asked.late:
        return await lagging.catch_up(job, steps)
    after = UUID(str(job.checkpoint.get("after", NIL)))
    if asked.fence and after == NIL:
        await fence(steps, job.principal.tenant_id, job.pipeline_id)
    pace = steps.pace()
    while True:
        async with pace.batch() as size, steps() as now:
            ids = await _next(now.connection, job, asked, after, size)
            follower = Follower(now.connection, job.principal.tenant_id, job.principal, clock.now(), steps.heavy)
            await follower.compute(job.pipeline_id, ids)
            own = [change for _, change in follower.changes]
            await follower.follow(own, fresh={change.after.id for change in own})
            await follower.tell()
            after = ids[-1] if ids else after
            total = await _total(now.connection, steps.job, asked)
            now.advance({"after": str(after)}, done=len(ids), total=total, updated=len(own))
        if len(ids) < size:
            return


async def _next(connection: Connection, job: Job, asked: Asked, after: UUID, size: int) -> list[UUID]:
    assert job.pipeline_id is not None
    tenant_id = job.principal.tenant_id
    if asked.records is not None:
        return sorted(it for it in asked.records if it > after)[:size]
    if asked.sources is None:
        return await evolutions.following(connection, tenant_id, job.pipeline_id, after, size, trashed=False)
    it = await _looking(connection, tenant_id, job.pipeline_id, asked.field)
    if it is None:
        return []
    return await computing.dependents(connection, tenant_id, it, job.pipeline_id, asked.sources, after, size)


async def _looking(connection: Connection, tenant_id: UUID, pipeline_id: UUID, name: str | None) -> Across | None:
    pipeline = await deriving.pipeline(connection, tenant_id, pipeline_id)
    looking = pipeline.computing.across if pipeline is not None and pipeline.computing is not None else ()
    return next((it for it in looking if it.name == name), None)


async def _total(connection: Connection, job: Job, asked: Asked) -> int | None:
    if job.total is not None or job.pipeline_id is None:
        return None
    tenant_id = job.principal.tenant_id
    if asked.sources is None:
        return await evolutions.live(connection, tenant_id, job.pipeline_id)
    it = await _looking(connection, tenant_id, job.pipeline_id, asked.field)
    return 0 if it is None else await computing.depending(connection, tenant_id, it, job.pipeline_id, asked.sources)


async def fence(steps: Steps, tenant_id: UUID, pipeline_id: UUID) -> None:
    """Waits for those who write, here or to what is looked at, without knowing what is looked at."""
    before: set[str] | None = None
    while before is None or before:
        async with steps() as now:
            writing = await writers(now.connection, tenant_id, pipeline_id)
        before = writing if before is None else before & writing
        if before:
            await asyncio.sleep(FENCE_SECONDS)


async def writers(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> set[str]:
    """The transactions that write to a pipeline now, or to one that its computed fields look at."""
    found = await evolutions.writers(connection, tenant_id, pipeline_id)
    pipeline = await deriving.known(connection, tenant_id, pipeline_id)
    looking = pipeline.computing.across if pipeline is not None and pipeline.computing is not None else ()
    for target in {it.target for it in looking} - {pipeline_id}:
        found |= await evolutions.writers(connection, tenant_id, target)
    return found

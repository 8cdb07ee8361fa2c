"""Values that were put off: a job of their pipeline computes them, one record in a transaction, and then it ends.

A pipeline has one such job at most, whoever finds that it needs one: what is put off while it waits or is at work is
seen to by it or by the next, which begins a little later. So a row of changes is computed once, and no pipeline keeps
others from their turn.
"""

import asyncio
import time
from uuid import UUID

import msgspec
import structlog

from libs.common import clock
from libs.common.errors import AppError, Unavailable
from libs.common.ids import NIL
from libs.common.postgres import Database
from services.records.domain.definitions import By
from services.records.domain.jobs import OPEN, Job
from services.records.storage import lagging, records
from services.records.storage.lagging import Lag, Last
from services.records.usecases.following import Follower
from services.records.usecases.jobs import COMPUTE, insert
from services.records.usecases.reshaping import principal
from services.records.usecases.running import Lost, Steps

GIVEN = {"late": True}
PAGE = 200
REST_SECONDS = 2.0
"""So long after one job the next one begins."""
FAILED_REST_SECONDS = 60.0
MAX_PAUSE_SECONDS = 1.0
"""After each record others may write it for as long as computing it took, up to this."""

log = structlog.get_logger()


async def begin(database: Database, it: Lag) -> bool:
    """Sees to it that there is a job for what is late; whether there was none."""
    async with database.tenant(it.tenant_id) as connection:
        last = await lagging.last(connection, it)
        if last is None or last.state in OPEN:
            return False
        late = await lagging.first(connection, it)
        if late is None:
            return False
        by = principal(it.tenant_id, msgspec.json.decode(late, type=By))
        total = await lagging.left(connection, it, NIL)
        job = await insert(connection, by, COMPUTE, GIVEN, it.pipeline_id, total, seconds=_rest(last))
        await lagging.replace(connection, it, job.id)
    return True


def _rest(last: Last) -> float:
    if last.ago is None:
        return 0.0
    rest = REST_SECONDS if last.state == "done" else FAILED_REST_SECONDS
    return min(rest, max(0.0, rest - last.ago))


async def catch_up(job: Job, steps: Steps) -> None:
    """Computes all that is late in a pipeline, in the order of the records' ids; what cannot be now stays late, and
    the job ends with the reason, which keeps none of the others waiting.
    """
    assert job.pipeline_id is not None
    it, after, error = Lag(job.principal.tenant_id, job.pipeline_id), NIL, None
    while page := await _page(steps, it, after):
        for after in page:
            began = time.monotonic()
            try:
                await _one(steps, it, after)
            except (Lost, Unavailable):
                raise
            except AppError as found:
                error = found
            except Exception as found:
                await log.aerror("late values not computed", record=str(after), error=repr(found))
                error = AppError()
            await asyncio.sleep(min(MAX_PAUSE_SECONDS, time.monotonic() - began))
    if error is not None:
        raise error


async def _page(steps: Steps, it: Lag, after: UUID) -> list[UUID]:
    async with steps() as now:
        page = await lagging.following(now.connection, it, after, PAGE)
        now.advance(total=steps.job.done + await lagging.left(now.connection, it, after))
    return page


async def _one(steps: Steps, it: Lag, record_id: UUID) -> None:
    """Computes what is late of a record, waiting for who writes it and holding nothing else."""
    async with steps() as now:
        rows = await records.lock_any(now.connection, it.tenant_id, [record_id])
        late = await lagging.take(now.connection, it, record_id)
        if not rows or not late:
            return now.advance(done=len(late) and 1)
        by = principal(it.tenant_id, msgspec.json.decode(late[-1].by, type=By))
        follower = Follower(now.connection, it.tenant_id, by, clock.now(), steps.heavy)
        await follower.compute(it.pipeline_id, [record_id], {name for one in late for name in one.names})
        changes = [change for _, change in follower.changes]
        await follower.follow(changes, fresh={record_id})
        await follower.tell()
        now.advance(done=1, updated=len(changes))

"""Jobs are done once, step by step, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from libs.common.bus import Bus
from libs.common.errors import Invalid, Unavailable
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.postgres import Database
from libs.common.roles import RoleStore
from services.records.domain.jobs import Job
from services.records.storage import jobs as storage
from services.records.usecases.catalog import Catalog
from services.records.usecases.jobs import enqueue
from services.records.usecases.running import Run, Runner, Steps
from tests.support.postgres import Database as Clone
from tests.support.waiting import eventually

TENANT = new_id()
BY = Principal(
    tenant_id=TENANT, id=new_id(), kind="user", session_id=new_id(), name="Test", roles=(), issued_at=0.0,
    expires_at=0.0, token="secret",
)  # fmt: skip


@pytest.fixture
async def db(database: Clone) -> AsyncIterator[Database]:
    """The pool of the service."""
    pool = Database(database.dsn("records"))
    await pool.start()
    yield pool
    await pool.stop()


@asynccontextmanager
async def running(db: Database, seconds: float = 0.6, concurrency: int = 4, **kinds: Run) -> AsyncIterator[Runner]:
    """A process that does these kinds of jobs until the block ends."""
    bus = Bus("nats://127.0.0.1:1", "nobody")
    runner = Runner(db, RoleStore("records", db, bus), Catalog(db, bus), concurrency=concurrency, lease_seconds=seconds)
    for kind, run in kinds.items():
        runner.add(kind, run)
    await runner.start()
    try:
        yield runner
    finally:
        await runner.stop()


async def asked(db: Database, kind: str, given: object = None, by: Principal = BY) -> UUID:
    """A job that waits."""
    async with db.tenant(by.tenant_id) as connection:
        return (await enqueue(connection, by, kind, given or {})).id


async def found(db: Database, job_id: UUID, tenant_id: UUID = TENANT) -> Job:
    """A job as it stands."""
    async with db.tenant(tenant_id) as connection:
        job = await storage.get(connection, tenant_id, job_id)
    assert job is not None
    return job


async def ended(db: Database, job_id: UUID, state: str = "done", tenant_id: UUID = TENANT) -> Job:
    """A job that has ended so."""

    async def over() -> bool:
        return (await found(db, job_id, tenant_id)).state not in ("queued", "running")

    await eventually(over)
    job = await found(db, job_id, tenant_id)
    assert (job.state, job.error) == (state, None if state == "done" else job.error)
    return job


async def counting(job: Job, step: Steps) -> object:
    """Ten steps."""
    for number in range(job.checkpoint.get("next", 0), 10):
        async with step() as now:
            now.advance({"next": number + 1}, done=1, created=1)
    return {"report_url": "/there"}


async def test_a_job_is_done_step_by_step(db: Database) -> None:
    """A job ends with the counts of its steps and its result, and no token of who asked is kept."""
    async with running(db, count=counting):
        job = await ended(db, await asked(db, "count"))
    assert (job.done, job.total, job.created, job.shown().report_url) == (10, 10, 10, "/there")
    assert job.principal.token == ""


async def test_another_process_goes_on_where_one_died(db: Database) -> None:
    """Of a process that ends mid-step nothing of that step stays, and the next begins at the last that committed."""
    began, done = asyncio.Event(), list[int]()

    async def dying(job: Job, step: Steps) -> object:
        async with step() as now:
            now.advance({"next": 1}, done=1)
        async with step() as now:
            now.advance({"next": 2}, done=1)
            began.set()
            await asyncio.Event().wait()
        return None

    async def going_on(job: Job, step: Steps) -> object:
        done.append(job.checkpoint["next"])
        return await counting(job, step)

    async with running(db, count=dying):
        job_id = await asked(db, "count")
        await asyncio.wait_for(began.wait(), 60)
    async with running(db, count=going_on):
        job = await ended(db, job_id)
    assert done == [1]
    assert job.done == 10


async def test_a_lease_that_was_lost_commits_nothing(db: Database, database: Clone) -> None:
    """A process that was thought dead cannot write another step once the job is someone else's."""
    held, go = asyncio.Event(), asyncio.Event()

    async def slow(job: Job, step: Steps) -> object:
        held.set()
        await go.wait()
        async with step() as now:
            now.advance(done=1000)
        return None

    async with running(db, seconds=60, count=slow):
        job_id = await asked(db, "count")
        await asyncio.wait_for(held.wait(), 60)
        admin = await asyncpg.connect(database.admin_dsn)
        await admin.execute("update records.job_queue set lease_until = now() - interval '1 hour'")
        await admin.close()
        async with running(db, count=counting):
            job = await ended(db, job_id)
        go.set()
        assert job.done == 10
    assert (await found(db, job_id)).done == 10


async def test_a_lease_beyond_measure_does_not_hold(db: Database, database: Clone) -> None:
    """A lease that was given by a clock since set back is taken over at once."""
    job_id = await asked(db, "count")
    admin = await asyncpg.connect(database.admin_dsn)
    await admin.execute("update records.job_queue set owner = $1, lease_until = now() + interval '1 day'", new_id())
    await admin.close()
    async with running(db, count=counting):
        await ended(db, job_id)


async def test_what_passes_is_tried_again_and_what_does_not_is_told(db: Database) -> None:
    """An outage is waited for; an error of the job's own is its end, shown as a problem."""
    tries = list[int]()

    async def patient(job: Job, step: Steps) -> object:
        tries.append(1)
        if len(tries) < 2:
            raise Unavailable("not yet")
        return None

    async def wrong(job: Job, step: Steps) -> object:
        raise Invalid("There is nothing to do", code="nothing")

    async with running(db, patient=patient, wrong=wrong):
        one, other = await asked(db, "patient"), await asked(db, "wrong")
        await ended(db, one)
        error = (await ended(db, other, "failed")).error
    assert len(tries) == 2
    assert error is not None
    assert (error.code, error.detail) == ("nothing", "There is nothing to do")


async def test_a_tenant_has_two_at_work(db: Database) -> None:
    """More jobs of one tenant wait for each other, and another tenant's do not wait for them."""
    at_work = dict[UUID, int]()
    most = dict[UUID, int]()
    go = asyncio.Event()

    async def busy(job: Job, step: Steps) -> object:
        tenant_id = job.principal.tenant_id
        at_work[tenant_id] = at_work.get(tenant_id, 0) + 1
        most[tenant_id] = max(most.get(tenant_id, 0), at_work[tenant_id])
        await go.wait()
        at_work[tenant_id] -= 1
        return None

    other = Principal(**{**_columns(BY), "tenant_id": new_id()})
    async with running(db, busy=busy):
        mine = [await asked(db, "busy") for _ in range(4)]
        theirs = await asked(db, "busy", by=other)
        await eventually(lambda: _true(at_work == {TENANT: 2, other.tenant_id: 1}))
        go.set()
        for job_id in mine:
            await ended(db, job_id)
        await ended(db, theirs, tenant_id=other.tenant_id)
    assert most == {TENANT: 2, other.tenant_id: 1}


async def test_the_queue_hides_tenants_from_each_other(db: Database) -> None:
    """Without a tenant, or as another, neither a job nor its place in the queue is seen."""
    await asked(db, "nobody")
    counts = []
    for transaction in (db.system(), db.tenant(new_id())):
        async with transaction as connection:
            counts.append(await connection.fetchval("select count(1) from jobs"))
            counts.append(await connection.fetchval("select count(1) from job_queue"))
    assert counts == [0, 0, 0, 0]


async def _true(value: bool) -> bool:
    return value


def _columns(of: Principal) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__struct_fields__}

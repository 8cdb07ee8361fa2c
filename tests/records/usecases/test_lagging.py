"""Values that were put off are computed once, by one job of their pipeline, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import msgspec

from libs.common.errors import AppError
from libs.common.ids import NIL, new_id
from libs.common.postgres import Database
from services.records.domain.jobs import Job
from services.records.storage.lagging import Lag, Last
from services.records.usecases import lagging
from services.records.usecases.heavy import Heavy
from services.records.usecases.recomputing import recompute
from services.records.usecases.running import Step, Steps
from tests.records.routes.test_computed import Json, World
from tests.records.support import records_service
from tests.records.usecases.test_running import db, ended, found, running
from tests.support.postgres import Database as Clone
from tests.support.waiting import eventually

__all__ = ["db"]


async def put_off(clone: Clone, it: Lag, records: Iterable[UUID], names: list[str]) -> None:
    """Leaves values of records to a job, as a transaction that was committed before its process died."""
    by = msgspec.json.encode({"id": NIL, "kind": "user", "name": "Ada", "roles": []}).decode()
    rows = [(it.tenant_id, it.pipeline_id, record_id, new_id(), names, by) for record_id in records]
    admin = await asyncpg.connect(clone.admin_dsn)
    try:
        await admin.executemany(
            "insert into records.late_values (tenant_id, pipeline_id, record_id, id, names, by)"
            " values ($1, $2, $3, $4, $5, $6)",
            rows,
        )
        await admin.execute("notify computed")
    finally:
        await admin.close()


class Mortal:
    """The steps of a process to which something happens within one of them."""

    def __init__(self, steps: Steps, most: int, fate: Callable[[], Awaitable[object]]) -> None:
        self._steps, self._left, self._fate = steps, most, fate

    @property
    def job(self) -> Job:
        """The job as of the last step that was committed."""
        return self._steps.job

    @property
    def heavy(self) -> Heavy:
        """What the process knows."""
        return self._steps.heavy

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Step]:
        """A step; the last is done and never committed."""
        self._left -= 1
        async with self._steps() as now:
            yield now
            if not self._left:
                await self._fate()


async def test_many_who_see_that_values_are_late_begin_one_job(db: Database, database: Clone) -> None:
    """Of all processes that look at once one makes the job, and while it has not ended nobody makes another."""
    it = Lag(new_id(), new_id())
    await put_off(database, it, [new_id(), new_id()], ["total"])
    began = await asyncio.gather(*(lagging.begin(db, it) for _ in range(8)))
    assert began.count(True) == 1
    assert not await lagging.begin(db, it)
    async with db.tenant(it.tenant_id) as connection:
        jobs = await connection.fetch("select input::text, total from jobs")
    assert [tuple(job) for job in jobs] == [('{"late": true}', 2)]


async def test_a_job_that_follows_another_takes_its_place(db: Database, database: Clone) -> None:
    """A job that ended is forgotten when values are late again."""
    it = Lag(new_id(), new_id())
    await put_off(database, it, [new_id()], ["total"])
    assert await lagging.begin(db, it)
    async with running(db, compute=recompute):
        async with db.tenant(it.tenant_id) as connection:
            first = await connection.fetchval("select id from jobs")
        job = await ended(db, first, tenant_id=it.tenant_id)
    assert (job.done, job.total, job.updated) == (1, 1, 0)
    assert not await lagging.begin(db, it)
    await put_off(database, it, [new_id()], ["total"])
    assert await lagging.begin(db, it)
    async with db.tenant(it.tenant_id) as connection:
        jobs = await connection.fetch("select id from jobs")
    assert [row["id"] != first for row in jobs] == [True]


def test_the_next_job_waits_a_little() -> None:
    """Soon after a job the next begins later, after a failure long after; a clock set back keeps nobody waiting."""
    rests = [(None, None), ("done", 0.5), ("done", 9.0), ("done", -3600.0), ("failed", 10.0)]
    assert [lagging._rest(Last(None, *last)) for last in rests] == [0.0, 1.5, 0.0, 2.0, 50.0]


async def test_another_goes_on_where_one_died(db: Database, database: Clone, nats_url: str, redis_url: str) -> None:
    """Of a process that dies between two values what it computed stays, and another computes the rest, each once."""
    died = asyncio.Event()

    async def die() -> None:
        died.set()
        await asyncio.Event().wait()

    async def dying(job: Job, steps: Steps) -> None:
        await recompute(job, Mortal(steps, 3, die) if job.input == lagging.GIVEN else steps)  # type: ignore[arg-type]

    async with records_service(database, nats_url, redis_url, job_concurrency=0) as service:
        world = await World(service).begin()
        companies = [await world.company(name=name) for name in "ABC"]
        for company in companies:
            await world.deal(company, amount=5)
        before = {it["id"]: it["version"] for it in await world.all(world.companies)}
        admin = await asyncpg.connect(database.admin_dsn)
        await admin.execute("update records.records set data = data - 'total' where pipeline_id = $1", world.companies)
        await admin.close()
        it = Lag(service.tenant_id, world.companies)
        await put_off(database, it, [UUID(company["id"]) for company in companies], ["total"])
        job = await _begun(world)
        assert (job["state"], job["progress"]["total"]) == ("queued", 3)
        async with running(db, seconds=60, compute=dying):
            await asyncio.wait_for(died.wait(), 60)
        half = await found(db, UUID(job["id"]), it.tenant_id)
        assert (half.state, half.done, half.total) == ("running", 1, 3)
        async with running(db, seconds=60, compute=recompute):
            done = await ended(db, UUID(job["id"]), tenant_id=it.tenant_id)
        assert (done.done, done.total, done.updated) == (3, 3, 3)
        assert {it["id"]: it["version"] - 1 for it in await world.all(world.companies)} == before
        await world.agrees()


async def test_a_record_that_cannot_be_computed_keeps_no_other_waiting(
    db: Database, database: Clone, nats_url: str, redis_url: str
) -> None:
    """Those behind it are computed, the job says that it failed, and what is late stays for the next."""

    async def fail() -> None:
        raise ZeroDivisionError

    async def faulty(job: Job, steps: Steps) -> None:
        await recompute(job, Mortal(steps, 2, fail) if job.input == lagging.GIVEN else steps)  # type: ignore[arg-type]

    async with records_service(database, nats_url, redis_url, job_concurrency=0) as service:
        world = await World(service).begin()
        companies = [await world.company(name=name) for name in "ABC"]
        it = Lag(service.tenant_id, world.companies)
        await put_off(database, it, [UUID(company["id"]) for company in companies], ["total"])
        job = await _begun(world)
        async with running(db, seconds=60, compute=faulty):
            failed = await ended(db, UUID(job["id"]), "failed", tenant_id=it.tenant_id)
    assert failed.error is not None
    assert (failed.done, failed.error.code) == (2, AppError().code)
    async with db.tenant(it.tenant_id) as connection:
        late = await connection.fetch("select record_id from late_values")
    assert [row["record_id"] for row in late] == [min(UUID(company["id"]) for company in companies)]


async def _begun(world: World) -> Json:
    """The job for what is late, as the one who manages records sees it."""
    found: list[Json] = []

    async def begun() -> bool:
        jobs = (await world.client.get("/jobs?kind=compute")).json()["items"]
        found[:] = [it for it in jobs if it["pipeline_id"] == str(world.companies) and it["progress"].get("total")]
        return bool(found)

    await eventually(begun)
    return found[0]

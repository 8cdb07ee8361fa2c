"""Works on jobs: leases one, does it step by step, and lets another process go on where this one broke off.

A step is one transaction: its effect, how far the job has come, and proof that the lease is still ours commit together.
So what was done is done once, however often processes die, and a clock that jumps takes away no more than a turn.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias
from uuid import UUID
from weakref import WeakValueDictionary

import asyncpg
import structlog

from libs.common import outbox
from libs.common.errors import AppError, Forbidden, NotFound, Unavailable, WireError, to_wire
from libs.common.identity import Principal
from libs.common.ids import NIL, new_id
from libs.common.postgres import Connection, Database
from libs.common.resilience import end, keep_running, woken
from libs.common.roles import RoleStore
from services.records.domain.jobs import Job
from services.records.domain.origin import CURRENT, Origin
from services.records.storage import jobs
from services.records.storage.jobs import Advance, Claim
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog
from services.records.usecases.heavy import Heavy
from services.records.usecases.pacing import Pace

POLL_SECONDS = 1.0
ANNOUNCE_SECONDS = 1.0
PRESENT_SECONDS = 1.0
MAX_PER_TENANT = 2
MAX_ATTEMPTS = 8
MAX_PAUSE_SECONDS = 60.0

log = structlog.get_logger()


class Lost(Exception):
    """The job was cancelled, or another process has it: nothing of this step may stay."""


class Step:
    """One transaction of a job. What `advance` is told is written when the step ends."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.by = Advance()

    def advance(
        self, checkpoint: dict[str, Any] | None = None, *, done: int = 0, total: int | None = None, created: int = 0,
        updated: int = 0, refused: int = 0,
    ) -> None:  # fmt: skip
        """Where a process that goes on begins, and what this step adds to the counts."""
        self.by = Advance(
            checkpoint=checkpoint, done=done, total=total, created=created, updated=updated, refused=refused
        )


class Steps:
    """The steps of one job: `async with step() as now: …` opens a transaction of its tenant, `now.connection`."""

    def __init__(
        self, job: Job, claim: Claim, database: Database, roles: RoleStore, catalog: Catalog, seconds: float,
        turn: asyncio.Lock,
    ) -> None:  # fmt: skip
        self.job = job
        self._claim = claim
        self._database = database
        self._roles = roles
        self._catalog = catalog
        self._seconds = seconds
        self._turn = turn
        self._told = 0.0
        self._known: tuple[Principal, float] | None = None

    @property
    def heavy(self) -> Heavy:
        """What is known of values that are computed from very many."""
        return self._catalog.heavy

    def pace(self) -> Pace:
        """How a job that goes through many records of its pipeline does so."""
        return Pace(self._turn)

    async def caller(self) -> Caller:
        """Who asked for the job, with what their roles allow at this moment; `Forbidden` where they were let go."""
        principal = await self._present()
        permissions = self._roles.cached(principal) or await self._roles.permissions(principal)
        return Caller(principal, permissions, self._catalog, self._database)

    async def _present(self) -> Principal:
        asked = self.job.principal
        if asked.id == NIL:
            return asked
        now = asyncio.get_running_loop().time()
        if self._known is None or now - self._known[1] > PRESENT_SECONDS:
            try:
                self._known = await self._roles.present(asked), now
            except NotFound:
                raise Forbidden("Who asked for the job may not come in any more", code="requester-gone") from None
        return self._known[0]

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Step]:
        """A step; raises `Lost` where the job is no longer ours."""
        async with self._database.tenant(self._claim.tenant_id) as connection:
            if not await jobs.hold(connection, self._claim, self._seconds, step=True):
                raise Lost
            step = Step(connection)
            yield step
            job = await jobs.advance(connection, self._claim, step.by)
            if job is None:
                raise Lost
            await self._announce(connection, job)
        self.job = job

    async def _announce(self, connection: Connection, job: Job) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told >= ANNOUNCE_SECONDS:
            self._told = now
            await outbox.record(connection, self._claim.tenant_id, [job.event("updated")])


Forget: TypeAlias = Callable[[Job], Awaitable[None]]
"""Takes away what a job needed, once it has ended."""

Run: TypeAlias = Callable[[Job, Steps], Awaitable[object]]
"""Does a job from its checkpoint on. What it returns (a Struct, a dict or nothing) is the job's result; a `report_url`
in it is shown as the job's own.
"""


class Runner:
    """Does the jobs of the kinds it knows, of each lane so many at once in this process and so many of a tenant in all.

    Kinds in different lanes do not wait for each other.
    """

    def __init__(
        self, database: Database, roles: RoleStore, catalog: Catalog, *, concurrency: int, lease_seconds: float
    ) -> None:
        self._database = database
        self._roles = roles
        self._catalog = catalog
        self._concurrency = concurrency
        self._seconds = lease_seconds
        self._kinds: dict[str, Run] = {}
        self._lanes: dict[str, list[str]] = {}
        self._forget: dict[str, Forget] = {}
        self._wake = asyncio.Event()
        self._running: dict[asyncio.Task[None], str] = {}
        self._turns: WeakValueDictionary[UUID | None, asyncio.Lock] = WeakValueDictionary()
        self._loop: asyncio.Task[None] | None = None

    def add(self, kind: str, run: Run, forget: Forget | None = None, *, lane: str = "asked") -> None:
        """Lets the runner do a kind of job; `forget` is called with each that has ended, here or by being cancelled."""
        self._kinds[kind] = run
        self._lanes.setdefault(lane, []).append(kind)
        if forget is not None:
            self._forget[kind] = forget

    async def forget(self, job: Job) -> None:
        """Takes away what a job needed."""
        if job.kind in self._forget:
            with suppress(AppError):
                await self._forget[job.kind](job)

    async def start(self) -> None:
        """Begins to look for work."""
        self._loop = asyncio.create_task(keep_running("jobs", self._look, cap=2.0))

    async def stop(self) -> None:
        """Ends at once; what is under way is rolled back to its last step and left to others."""
        if self._loop is not None:
            await end([self._loop])
        await end(list(self._running))

    async def _look(self) -> None:
        listener = await self._database.connect()
        try:
            await listener.add_listener("jobs", lambda *_: self._wake.set())
            while True:
                self._wake.clear()
                await self._fill()
                await woken(self._wake, POLL_SECONDS)
                await listener.execute("select 1")
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await listener.close(timeout=2)

    async def _fill(self) -> None:
        for lane, kinds in self._lanes.items():
            while list(self._running.values()).count(lane) < self._concurrency:
                claim = await jobs.claim(self._database, new_id(), self._seconds, MAX_PER_TENANT, kinds)
                if claim is None:
                    break
                task = asyncio.create_task(self._work(claim))
                self._running[task] = lane
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wake.set()

    async def _work(self, claim: Claim) -> None:
        work = asyncio.create_task(self._do(claim))
        try:
            await self._watch(claim, work)
        except asyncio.CancelledError:
            await end([work])
            await self._release(claim, 0.0)
            raise
        try:
            work.result()
        except (Lost, asyncio.CancelledError):
            await log.ainfo("job lost", job=str(claim.job_id), kind=claim.kind)
        except Exception as error:
            await self._failed(claim, error)

    async def _watch(self, claim: Claim, work: "asyncio.Task[None]") -> None:
        """Renews the lease until the work ends, and ends it where the lease is lost."""
        while not work.done():
            await asyncio.wait((work,), timeout=self._seconds / 3)
            if work.done():
                return
            with suppress(AppError):
                async with self._database.tenant(claim.tenant_id) as connection:
                    held = await jobs.renew(connection, claim, self._seconds)
                if not held:
                    await end([work])

    async def _do(self, claim: Claim) -> None:
        if claim.attempts > MAX_ATTEMPTS:
            raise AppError("The job broke off too often", code="job-broke-off")
        async with self._database.tenant(claim.tenant_id) as connection:
            held = await jobs.hold(connection, claim, self._seconds, step=False)
            job = await jobs.begin(connection, claim) if held else None
        if job is None:
            raise Lost
        CURRENT.set(Origin("job", id=job.id))
        turn = self._turns.setdefault(job.pipeline_id, asyncio.Lock())
        steps = Steps(job, claim, self._database, self._roles, self._catalog, self._seconds, turn)
        result = await self._kinds[claim.kind](job, steps)
        await self._finish(claim, "done", result)

    async def _failed(self, claim: Claim, error: Exception) -> None:
        passing = not isinstance(error, AppError) or isinstance(error, Unavailable) or error.code == "busy"
        level = log.awarning if isinstance(error, AppError) else log.aerror
        await level("job broke off", job=str(claim.job_id), kind=claim.kind, attempts=claim.attempts, error=repr(error))
        if passing and claim.attempts < MAX_ATTEMPTS:
            return await self._release(claim, min(MAX_PAUSE_SECONDS, 0.5 * 2**claim.attempts))
        known = error if isinstance(error, AppError) else AppError()
        with suppress(AppError, Lost):
            await self._finish(claim, "failed", error=to_wire(known))

    async def _release(self, claim: Claim, seconds: float) -> None:
        # Where that fails the lease runs out by itself.
        with suppress(AppError):
            async with self._database.tenant(claim.tenant_id) as connection:
                await jobs.release(connection, claim, seconds)

    async def _finish(self, claim: Claim, state: str, result: object = None, error: WireError | None = None) -> None:
        async with self._database.tenant(claim.tenant_id) as connection:
            if not await jobs.unqueue(connection, claim.tenant_id, claim.job_id, claim.owner):
                raise Lost
            job = await jobs.finish(connection, claim.tenant_id, claim.job_id, state, result, error)
            if job is None:
                raise Lost
            await outbox.record(connection, claim.tenant_id, [job.event(state)])
        await self.forget(job)

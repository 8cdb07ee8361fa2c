"""Jobs: how far they are, and cancelling them."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from libs.common import pages
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from services.records.domain.jobs import JobShown, State
from services.records.routes.records import CALLER
from services.records.usecases import jobs
from services.records.usecases.caller import Caller
from services.records.usecases.running import Runner

NEWEST = UUID(int=2**128 - 1)


class JobsController(Controller):
    """Work that outlasts a request."""

    path = "/jobs"
    tags = ("Jobs",)
    dependencies = CALLER

    @get(operation_id="ListJobs")
    async def list_jobs(
        self,
        caller: NamedDependency[Caller],
        kind: FromQuery[str | None] = None,
        in_state: Annotated[State | None, QueryParameter(name="state")] = None,
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Page[JobShown]:
        """The jobs that the caller asked for, the newest first; who manages all records sees those of all."""
        before = NEWEST if cursor is None else pages.after_id(cursor)
        found = await jobs.list_jobs(caller, before, kind, in_state, pages.check_limit(limit))
        total = await jobs.count(caller, kind, in_state) if count != "none" else None
        return pages.by_id(found, limit, lambda job: job.id, lambda job: job.shown(), total)

    @get("/{job_id:str}", operation_id="GetJob")
    async def get_job(self, caller: NamedDependency[Caller], job_id: FromPath[str]) -> JobShown:
        """One job: its state, its progress, what it did, and why it failed if it did."""
        return (await jobs.get(caller, parse_id(job_id))).shown()

    @post("/{job_id:str}/cancel", status_code=200, operation_id="CancelJob")
    async def cancel_job(
        self, caller: NamedDependency[Caller], runner: NamedDependency[Runner], job_id: FromPath[str]
    ) -> JobShown:
        """End a job where it is: what it did stays, and a step under way is its last. One that has ended is 409."""
        job = await jobs.cancel(caller, parse_id(job_id))
        await runner.forget(job)
        return job.shown()

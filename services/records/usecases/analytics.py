"""The dashboard, from counts that are kept as records are written, and who keeps them.

A pipeline is counted from when a dashboard first asks for it. Counts answer where a principal may see every row, and of
a stage field where they may see it in every row; otherwise what they may see is counted, over a bounded number of rows.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

from libs.common.ids import NIL
from libs.common.postgres import Connection, Database
from libs.common.resilience import end, keep_running
from services.records.domain.analytics import (
    WON,
    Activity,
    Dashboard,
    Period,
    PipelineCounts,
    StageCount,
    StageCounts,
    periods,
)
from services.records.domain.reach import Reach
from services.records.storage import tallies, users
from services.records.storage.tallies import Tally, Wanted
from services.records.usecases.caller import Caller

POLL_SECONDS = 2.0
FOLDED_AT_ONCE = 10_000
MAX_USERS = 200


async def dashboard(caller: Caller, pipeline_id: UUID | None, over: Period) -> Dashboard:
    """Counts over all pipelines that the caller may read, or over one."""
    reaches = await caller.reaches(pipeline_id)

    async def work() -> Dashboard:
        async with caller.database.tenant(caller.tenant_id) as connection:
            found, complete = await _found(connection, caller, reaches, over)
            names = await users.names(connection, caller.tenant_id, _actors(found))
        return _dashboard(reaches, found, complete, names, over)

    return await caller.warmed(work)


async def _found(
    connection: Connection, caller: Caller, reaches: Sequence[Reach], over: Period
) -> tuple[list[Tally], dict[UUID, bool]]:
    ready = await _ready(connection, caller.tenant_id, reaches)
    counted = {wanted for reach in reaches for wanted in _wanted(reach) if wanted in ready and _whole(reach, wanted[1])}
    ids = {pipeline_id for pipeline_id, _ in counted}
    read = await tallies.read(connection, caller.tenant_id, ids, over.since, over.until)
    found = [it for it in read if (it.pipeline_id, _field(it)) in counted]
    complete = {reach.pipeline.id: True for reach in reaches}
    for reach in reaches:
        for wanted in _wanted(reach):
            if wanted not in counted:
                access = reach.access("read")
                some, all_seen = await tallies.seen(
                    connection, caller.tenant_id, access, caller.context, wanted[1], over.since, over.until
                )
                found += some
                complete[reach.pipeline.id] &= all_seen
    return found, complete


async def _ready(connection: Connection, tenant_id: UUID, reaches: Sequence[Reach]) -> set[Wanted]:
    """What is counted already; what is not begins to be."""
    known = await tallies.wanted(connection, tenant_id, [reach.pipeline.id for reach in reaches])
    stages = {(r.pipeline.id, name) for r in reaches for name in ("", *(field.name for field in r.pipeline.stages))}
    begun = {(it.pipeline_id, it.field) for it in known}
    await tallies.want(connection, tenant_id, sorted(stages - begun), sorted(begun - stages))
    return {(it.pipeline_id, it.field) for it in known if it.ready}


def _wanted(reach: Reach) -> list[Wanted]:
    """What the caller may have of a pipeline."""
    readable = [field.name for field in reach.pipeline.stages if reach.access("read").names(field.name)]
    return [(reach.pipeline.id, name) for name in ("", *readable)]


def _whole(reach: Reach, field: str) -> bool:
    """Whether the caller may see every row, and in each of them a field."""
    access = reach.access("read")
    whole = (a for a in access.alternatives if a.rule is None)
    return any(not field or a.readable is None or field in a.readable for a in whole)


def _field(it: Tally) -> str:
    """The field that a count needs."""
    return it.field if it.kind in ("live", "entered") else ""


def _actors(found: Iterable[Tally]) -> set[UUID]:
    return {UUID(it.value) for it in found if it.kind == "did"}


def _dashboard(
    reaches: Sequence[Reach], found: Sequence[Tally], complete: dict[UUID, bool], names: dict[UUID, str], over: Period
) -> Dashboard:
    made = [(it.day, it.amount) for it in found if it.kind == "made" and it.day is not None]
    won = [(it.day, it.amount) for it in found if it.kind == "entered" and it.value == WON and it.day is not None]
    return Dashboard(
        since=date.isoformat(over.since),
        until=date.isoformat(over.until),
        time_zone="UTC",
        interval=over.interval,
        pipelines=[_pipeline(reach, found, complete=complete[reach.pipeline.id]) for reach in reaches],
        created=periods(made, over.interval),
        won=periods(won, over.interval),
        activity=_activity(found, names),
    )


def _pipeline(reach: Reach, found: Sequence[Tally], *, complete: bool) -> PipelineCounts:
    pipeline = reach.pipeline
    live = [it for it in found if it.kind == "live" and it.pipeline_id == pipeline.id]
    by_stage = [
        StageCounts(field.name, _stages([stage.value for stage in field.stages], live, field.name))
        for field in pipeline.stages
        if reach.access("read").names(field.name)
    ]
    total = sum(it.amount for it in live if not it.field)
    return PipelineCounts(pipeline.id, pipeline.definition.name, total, by_stage, complete)


def _stages(order: Sequence[str], live: Sequence[Tally], field: str) -> list[StageCount]:
    counts = {it.value: it.amount for it in live if it.field == field}
    others = sorted(value for value in counts if value and value not in order)
    shown = [StageCount(value, counts.get(value, 0)) for value in (*order, *others)]
    return [*shown, StageCount(None, counts[""])] if counts.get("") else shown


def _activity(found: Sequence[Tally], names: dict[UUID, str]) -> list[Activity]:
    done: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for it in found:
        if it.kind == "did" and it.field in ("created", "updated", "deleted", "restored"):
            done[UUID(it.value)][it.field] += it.amount
    ranked = sorted(done.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    return [Activity(user, names.get(user), **counts) for user, counts in ranked[:MAX_USERS]]


class Counter:
    """Counts what there was, and adds up what was written since, in any process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(keep_running("counting", self._work))

    async def stop(self) -> None:
        """Ends; what is under way is rolled back."""
        if self._task is not None:
            await end([self._task])

    async def _work(self) -> None:
        while True:
            await self.round()
            await asyncio.sleep(POLL_SECONDS)

    async def round(self) -> None:
        """Does what there is to do for each tenant."""
        tenant_id = await tallies.next_tenant(self._database, NIL)
        while tenant_id is not None:
            while await self._step(tenant_id):
                pass
            tenant_id = await tallies.next_tenant(self._database, tenant_id)

    async def _step(self, tenant_id: UUID) -> bool:
        """One transaction for a tenant; whether there is more to do."""
        async with self._database.tenant(tenant_id) as connection:
            if not await tallies.alone(connection, tenant_id):
                return False
            if await tallies.count_next(connection, tenant_id):
                return True
            await tallies.mark(connection, tenant_id)
            return await tallies.fold(connection, tenant_id, FOLDED_AT_ONCE) == FOLDED_AT_ONCE

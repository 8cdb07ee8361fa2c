"""The job that brings all records of a pipeline along with its definition, while others read and write them.

By then the definition is known: whoever writes a record brings it along first. The job waits for those who still write
by an older one, then goes through the records in the order of their ids, in small batches that leave out what someone
is writing and come back to it one at a time. A step is a transaction with its checkpoint, so a crash repeats nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.errors import Conflict
from libs.common.postgres import Connection
from services.records.domain.definitions import Definition, Pending
from services.records.domain.jobs import Job
from services.records.domain.pipelines import Pipeline, unique_key
from services.records.storage import definitions, evolutions, records, uniques
from services.records.storage.records import Locked
from services.records.storage.uniques import Claim
from services.records.usecases.caller import Caller
from services.records.usecases.following import Follower
from services.records.usecases.pacing import MOST
from services.records.usecases.recomputing import writers
from services.records.usecases.reshaping import Reshaping, principal
from services.records.usecases.running import Steps

MAX_DUPLICATES = 20
FENCE_SECONDS = 0.005
STAGES = ("live", "trash")


class Duplicate(msgspec.Struct, frozen=True):
    """Two records that have the same value in a field that was to be unique."""

    field: str
    records: tuple[UUID, UUID]


class Checkpoint(msgspec.Struct, frozen=True):
    """How far the job is: `left` are records that someone was writing when it came by."""

    fenced: bool = False
    stage: int = 0
    after: UUID = UUID(int=0)
    left: tuple[UUID, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()


class Evolved(msgspec.Struct, frozen=True):
    """What a job did: the version that records follow now, and how many had to be brought along."""

    version: int
    changed: int


async def evolve(job: Job, steps: Steps) -> Evolved | None:
    """Does what a definition asks of records; `Conflict` lists values that were to be unique and are not."""
    if claims := job.input.get("claims"):
        await _forget(steps, job, claims)
        return None
    evolution = Evolution(job, steps)
    return await evolution.run() if await evolution.begin() else None


class Evolution:
    """One job at work."""

    def __init__(self, job: Job, steps: Steps) -> None:
        assert job.pipeline_id is not None
        self._job = job
        self._steps = steps
        self._tenant_id = job.principal.tenant_id
        self._pipeline_id = job.pipeline_id
        self._at = msgspec.convert(job.checkpoint, Checkpoint)
        self._pipeline: Pipeline
        self._pending: Pending
        self._pace = steps.pace()

    async def begin(self) -> bool:
        """Whether there is something to do; then nobody writes by an older definition any more."""
        async with self._steps() as now:
            definition = await definitions.pipeline(now.connection, self._tenant_id, self._pipeline_id)
            if definition is None or not self._take(definition):
                return False
            if self._job.total is None:
                total = await evolutions.count(now.connection, self._tenant_id, self._pipeline_id)
                now.advance(total=total)
        if not self._at.fenced:
            await self._fence()
        return True

    def _take(self, definition: Definition) -> bool:
        found = next((one for one in definition.pending if one.job_id == self._job.id), None)
        if found is not None:
            self._pipeline, self._pending = Pipeline(definition), found
        return found is not None

    async def _fence(self) -> None:
        """Waits for those who write by an older definition, one and all; they wait for nobody."""
        before: set[str] | None = None
        while before is None or before:
            async with self._steps() as now:
                writing = await writers(now.connection, self._tenant_id, self._pipeline_id)
            before = writing if before is None else before & writing
            if before:
                await asyncio.sleep(FENCE_SECONDS)
        async with self._steps() as now:
            following = msgspec.structs.replace(self._at, fenced=True)
            now.advance(msgspec.to_builtins(following))
        self._at = following

    async def run(self) -> Evolved:
        """Brings all records along."""
        asked = self._pending
        for key in asked.purges:
            await self._purge(key)
        if asked.moves or asked.converts or asked.fills or asked.claims or asked.computes:
            while self._at.stage < len(STAGES):
                async with self._pace.batch() as size:
                    await self._batch(size)
            while self._at.left:
                await self._one()
        async with self._steps() as now:
            await evolutions.settle(now.connection, self._tenant_id, self._pipeline_id, self._job.id)
        if self._at.duplicates:
            raise await self._not_unique()
        return Evolved(asked.version, self._steps.job.updated)

    async def _purge(self, key: str) -> None:
        gone = MOST
        while gone:
            async with self._steps() as now:
                gone = await evolutions.purge(now.connection, self._tenant_id, self._pipeline_id, key, MOST)

    async def _batch(self, size: int) -> None:
        async with self._steps() as now:
            at, trashed = self._at, STAGES[self._at.stage] == "trash"
            ids = await evolutions.following(
                now.connection, self._tenant_id, self._pipeline_id, at.after, size, trashed=trashed
            )
            rows = await evolutions.lock(now.connection, self._tenant_id, ids)
            changed, found = await self._bring(now.connection, rows)
            there, last = {row.id for row in rows}, len(ids) < size
            following = Checkpoint(
                fenced=True, stage=at.stage + last, after=UUID(int=0) if last else ids[-1],
                left=(*at.left, *(it for it in ids if it not in there)), duplicates=(*at.duplicates, *found),
            )  # fmt: skip
            now.advance(msgspec.to_builtins(following), done=len(rows), updated=changed)
        self._at = following

    async def _one(self) -> None:
        """Brings a record along that was left out, waiting for who writes it and keeping nobody waiting meanwhile."""
        async with self._steps() as now:
            rows = await records.lock_any(now.connection, self._tenant_id, self._at.left[:1])
            changed, found = await self._bring(now.connection, list(rows.values()))
            duplicates = (*self._at.duplicates, *found)
            following = msgspec.structs.replace(self._at, left=self._at.left[1:], duplicates=duplicates)
            now.advance(msgspec.to_builtins(following), done=len(rows), updated=changed)
        self._at = following

    async def _bring(self, connection: Connection, rows: Sequence[Locked]) -> tuple[int, list[Duplicate]]:
        if not rows:
            return 0, []
        version = await evolutions.hold(connection, self._tenant_id, self._pipeline_id)
        if version != self._pipeline.version:
            definition = await definitions.pipeline(connection, self._tenant_id, self._pipeline_id)
            if definition is None or not self._take(definition):
                return 0, []
        heavy = self._steps.heavy
        reshaping = Reshaping(connection, self._tenant_id, self._pipeline, clock.now(), heavy)
        changed = await reshaping.bring(rows, self._job.id)
        by = principal(self._tenant_id, self._pending.by)
        await Follower(connection, self._tenant_id, by, clock.now(), heavy).go(reshaping.changes)
        if not self._pending.claims or len(self._at.duplicates) >= MAX_DUPLICATES:
            return changed, []
        if changed:
            rows = await evolutions.lock(connection, self._tenant_id, [row.id for row in rows])
        return changed, await self._claim(connection, [row for row in rows if not row.deleted])

    async def _claim(self, connection: Connection, rows: Sequence[Locked]) -> list[Duplicate]:
        found: list[Duplicate] = []
        for name in self._pending.claims:
            field = self._pipeline.fields.get(name)
            if field is None or not field.unique:
                continue
            claimed = self._pipeline.definition.claim_of(name)
            values = ((row.id, row.record().data.get(name)) for row in rows)
            claims: list[Claim] = [(claimed, unique_key(field, value), it) for it, value in values if value is not None]
            await uniques.claim(connection, self._tenant_id, self._pipeline_id, claims)
            keys = {key for _, key, _ in claims}
            owners = await uniques.find(connection, self._tenant_id, self._pipeline_id, claimed, keys)
            found += [Duplicate(name, (owners[key], it)) for _, key, it in claims if owners[key] != it]
        return found[:MAX_DUPLICATES]

    async def _not_unique(self) -> Conflict:
        fields = sorted({found.field for found in self._at.duplicates})
        detail = f"Several records have the same {', '.join(fields)}, which therefore is not unique"
        shown = await self._shown(await self._steps.caller())
        return Conflict(detail, code="not-unique", extra={"fields": fields, "duplicates": shown})

    async def _shown(self, caller: Caller) -> list[dict[str, Any]]:
        """The duplicates as far as who asked may see them."""
        access = (await caller.reach(self._pipeline_id)).access("read")
        shown: list[dict[str, Any]] = []
        async with caller.database.tenant(self._tenant_id) as connection:
            for found in self._at.duplicates[:MAX_DUPLICATES]:
                only = frozenset((found.field,))
                bodies = await records.bodies(connection, self._tenant_id, found.records, access, caller.context, only)
                values = [value for body, _ in bodies.values() if (value := _value(body, found.field)) is not None]
                if len(values) == len(found.records):
                    ids = [str(it) for it in found.records]
                    shown.append({"field": found.field, "value": values[0], "records": ids})
        return shown


def _value(body: str, name: str) -> Any:
    return msgspec.json.decode(body)["data"].get(name)


async def _forget(steps: Steps, job: Job, names: Sequence[str]) -> None:
    assert job.pipeline_id is not None
    for name in names:
        gone = MOST
        while gone:
            async with steps() as now:
                gone = await evolutions.forget_claims(
                    now.connection, job.principal.tenant_id, job.pipeline_id, name, MOST
                )

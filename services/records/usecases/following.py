"""Computed values follow what they look at, in the transaction that changes it.

Records that follow are locked without waiting. Those that somebody else writes at that moment are marked, and follow
when that is over (`settling`); values that are computed from very many (`heavy`) are put off, to a job (`lagging`),
and where very many records follow, a job sees to them. Each is computed from its sources, under its lock and after the
lock was taken, so that of two who change sources at once the second to lock it sees what both did.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import outbox
from libs.common.identity import Principal
from libs.common.postgres import Connection
from services.records.domain.computing import Across
from services.records.domain.definitions import By
from services.records.domain.fields import differing
from services.records.domain.pipelines import Pipeline
from services.records.domain.records import Change, Edge, advanced
from services.records.storage import computing, evolutions, lagging, records
from services.records.storage.records import Locked
from services.records.usecases import deriving, searching
from services.records.usecases.heavy import Heavy
from services.records.usecases.jobs import COMPUTE, insert
from services.records.usecases.reshaping import Reshaping

MAX_INLINE = 1_000
"""So many records of a pipeline follow in the transaction; for more there is a job."""
MAX_ROUNDS = 16
MAX_JOBS = 20
MAX_NAMED = 10_000
NIL = UUID(int=0)
_CACHED = 1_000
_followers: dict[tuple[UUID, UUID, int], list[tuple[UUID, tuple[Across, ...]]]] = {}


class Wanted:
    """Records of a pipeline that have to follow, in some of their fields."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.ids: set[UUID] = set()

    def add(self, names: Iterable[str], ids: Iterable[UUID]) -> None:
        """More of them."""
        self.names |= set(names)
        self.ids |= set(ids)


class Follower:
    """What follows from changes in one transaction, made by whoever made these."""

    def __init__(self, connection: Connection, tenant_id: UUID, by: Principal, at: datetime, heavy: Heavy) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._by = by
        self._at = at
        self._heavy = heavy
        self._pipelines: dict[UUID, Pipeline | None] = {}
        self._looking: dict[UUID, list[tuple[UUID, tuple[Across, ...]]]] = {}
        self.changes: list[tuple[Pipeline, Change]] = []
        self.marked: list[tuple[UUID, UUID]] = []

    async def follow(
        self, changes: Sequence[Change], edges: Sequence[Edge] = (), fresh: Collection[UUID] = frozenset()
    ) -> None:
        """Lets all follow from these changes and relationships, and others from them. The values of `fresh` records
        follow already from their own data and relation fields.
        """
        for _ in range(MAX_ROUNDS):
            wanted: dict[UUID, Wanted] = {}
            await self._own(changes, fresh, wanted)
            await self._others(changes, wanted)
            await self._related(edges, wanted)
            before = len(self.changes)
            for pipeline_id in sorted(wanted):
                it = wanted[pipeline_id]
                await self.compute(pipeline_id, it.ids - await self._put_off(pipeline_id, it), it.names)
            changes, edges = [change for _, change in self.changes[before:]], ()
            fresh = {change.after.id for change in changes}
            if not changes:
                return

    async def tell(self) -> None:
        """Writes words and events of what followed."""
        for pipeline in {id(it): it for it, _ in self.changes}.values():
            own = [change for it, change in self.changes if it is pipeline]
            await searching.keep(self._connection, self._tenant_id, pipeline, own)
        await outbox.record(self._connection, self._tenant_id, [it.event(self._by) for _, it in self.changes])

    async def compute(self, pipeline_id: UUID, ids: Collection[UUID], names: Collection[str] | None = None) -> None:
        """Computes fields of records from their sources: those named and all formulas, or all. Records that somebody
        else writes are marked; of many a job takes care.
        """
        if len(ids) > MAX_INLINE:
            return await self.enqueue(pipeline_id, records=sorted(ids))
        pipeline = await self._pipeline(pipeline_id)
        if not ids or pipeline is None or pipeline.computing is None:
            return
        rows = await evolutions.lock(self._connection, self._tenant_id, ids)
        if pipeline.definition.pending:
            rows = list(await self._brought(pipeline, rows))
        left = set(ids) - {row.id for row in rows}
        live = [row for row in rows if not row.deleted and row.pipeline_id == pipeline_id]
        looking = [it for it in pipeline.computing.across if names is None or it.name in names]
        await self._write(pipeline, live, looking)
        if left:
            self.marked += [(pipeline_id, it) for it in sorted(left)]
            await self._mark(pipeline_id, left)

    async def _put_off(self, pipeline_id: UUID, wanted: Wanted) -> set[UUID]:
        """Puts values off that are computed from very many: they follow in a moment, and nobody waits for it."""
        later = self._heavy.among(self._tenant_id, wanted.ids, wanted.names)
        if later:
            by = self._maker()
            await lagging.put_off(self._connection, self._tenant_id, pipeline_id, sorted(later), wanted.names, by)
            await computing.tell(self._connection)
        return later

    async def _mark(self, pipeline_id: UUID, ids: Collection[UUID]) -> None:
        await computing.mark(self._connection, self._tenant_id, pipeline_id, sorted(ids), self._maker())
        await computing.tell(self._connection)

    def _maker(self) -> Any:
        return msgspec.to_builtins(By(self._by.id, self._by.kind, self._by.name, self._by.roles))

    async def _brought(self, pipeline: Pipeline, rows: Sequence[Locked]) -> Sequence[Locked]:
        reshaping = Reshaping(self._connection, self._tenant_id, pipeline, self._at, self._heavy)
        if not await reshaping.bring(rows):
            return rows
        await Follower(self._connection, self._tenant_id, self._by, self._at, self._heavy).go(reshaping.changes)
        return await evolutions.lock(self._connection, self._tenant_id, [row.id for row in rows])

    async def go(self, changes: Sequence[Change]) -> None:
        """Follows changes that were announced, whose own values are right, and tells of it."""
        await self.follow(changes, fresh={change.after.id for change in changes})
        await self.tell()

    async def _write(self, pipeline: Pipeline, rows: Sequence[Locked], looking: Sequence[Across]) -> None:
        before = [row.record() for row in rows]
        data = [(it.id, it.data) for it in before]
        values = await deriving.across(self._connection, self._tenant_id, looking, data, pipeline, self._heavy)
        changes: list[Change] = []
        for record in before:
            after = deriving.with_values(pipeline, record.data, values[record.id])
            changed = differing(record.data, after)
            if changed:
                made = advanced(record, after, pipeline.title(after), self._by.id, self._at)
                changes.append(Change("updated", made, changed, record))
        await records.advance(self._connection, self._by, self._at, changes)
        self.changes += [(pipeline, change) for change in changes]

    async def _pipeline(self, pipeline_id: UUID) -> Pipeline | None:
        if pipeline_id not in self._pipelines:
            self._pipelines[pipeline_id] = await deriving.pipeline(self._connection, self._tenant_id, pipeline_id)
        return self._pipelines[pipeline_id]

    async def _looking_at(self, pipeline_id: UUID) -> list[tuple[UUID, tuple[Across, ...]]]:
        """The pipelines that look at the records of one, each with the fields that do."""
        if pipeline_id not in self._looking:
            self._looking[pipeline_id] = await self._find_looking(pipeline_id)
        return self._looking[pipeline_id]

    async def _find_looking(self, pipeline_id: UUID) -> list[tuple[UUID, tuple[Across, ...]]]:
        held = await computing.hold(self._connection, self._tenant_id, pipeline_id)
        if not held.followers:
            return []
        key = self._tenant_id, pipeline_id, held.followers
        if key not in _followers:
            found = await computing.following(self._connection, self._tenant_id, pipeline_id)
            if len(_followers) >= _CACHED:
                _followers.clear()
            _followers[key] = [(it.id, _fields(Pipeline(it), pipeline_id)) for it in found]
        return _followers[key]

    async def _own(self, changes: Sequence[Change], fresh: Collection[UUID], wanted: dict[UUID, Wanted]) -> None:
        """What a change asks of the record itself, where nobody has computed it yet."""
        for change in changes:
            if change.after.id in fresh or change.operation not in ("updated", "restored"):
                continue
            pipeline = await self._pipeline(change.after.pipeline_id)
            if pipeline is None or pipeline.computing is None:
                continue
            back, own = change.operation == "restored", pipeline.computing.own
            names = [it.name for it in own if it.relation in change.changed]
            if back:
                names = [it.name for it in pipeline.computing.across]
            wanted.setdefault(pipeline.id, Wanted()).add(names, [change.after.id])

    async def _others(self, changes: Sequence[Change], wanted: dict[UUID, Wanted]) -> None:
        """Those who look at fields that have changed, or at records that come or go."""
        for pipeline_id in sorted({it.after.pipeline_id for it in changes if it.operation != "created"}):
            own = [it for it in changes if it.after.pipeline_id == pipeline_id and it.operation != "created"]
            for follower, looking in await self._looking_at(pipeline_id):
                for it in looking:
                    sources = [c.after.id for c in own if c.operation != "updated" or it.names & set(c.changed)]
                    if sources:
                        await self._depending(follower, it, sources, wanted)

    async def _depending(self, follower: UUID, it: Across, sources: Sequence[UUID], wanted: dict[UUID, Wanted]) -> None:
        limit = MAX_INLINE + 1
        ids = await computing.dependents(self._connection, self._tenant_id, it, follower, sources, NIL, limit)
        if len(ids) > MAX_INLINE:
            return await self.enqueue(follower, field=it.name, sources=sorted(set(sources)))
        if ids:
            wanted.setdefault(follower, Wanted()).add([it.name], ids)

    async def _related(self, edges: Sequence[Edge], wanted: dict[UUID, Wanted]) -> None:
        """Both ends of relationships that come or go, but for fields that look through a relation of their own."""
        ends = {(e.type, e.source_pipeline, e.target_pipeline) for e in edges}
        for kind, source, target in sorted(ends):
            own = [e for e in edges if (e.type, e.source_pipeline, e.target_pipeline) == (kind, source, target)]
            for here, there, inverse in ((source, target, False), (target, source, True)):
                pipeline = await self._pipeline(here)
                if pipeline is None or pipeline.computing is None:
                    continue
                looking = [
                    it.name
                    for it in pipeline.computing.across
                    if not it.own and (it.type, it.target, it.inverse) == (kind, there, inverse)
                ]
                if looking:
                    ids = [e.target_id if inverse else e.source_id for e in own]
                    wanted.setdefault(here, Wanted()).add(looking, ids)

    async def enqueue(self, pipeline_id: UUID, **given: Any) -> None:
        """Leaves records to a job: those named, those that look at sources, or all where there are very many."""
        named = given.get("records") or given.get("sources") or ()
        many = await computing.open_jobs(self._connection, self._tenant_id, COMPUTE) >= MAX_JOBS
        asked: Mapping[str, Any] = {} if many or len(named) > MAX_NAMED else msgspec.to_builtins(given, str_keys=True)
        if not await computing.waiting(self._connection, self._tenant_id, COMPUTE, pipeline_id, asked):
            total = len(asked["records"]) if "records" in asked else None
            await insert(self._connection, self._by, COMPUTE, asked, pipeline_id, total)


def _fields(pipeline: Pipeline, target: UUID) -> tuple[Across, ...]:
    return () if pipeline.computing is None else tuple(it for it in pipeline.computing.across if it.target == target)

"""The one way records are written: operations in, rows, history, unique values, relationships and events out.

A *wave* is a run of operations that touch different records; it is planned in memory and written with one statement per
table. What fails in a wave that need not be atomic is taken out, the wave is rolled back to where it began and written
again without it.
"""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from libs.common import outbox
from libs.common.errors import AppError, Forbidden, Invalid
from libs.common.events import NewEvent
from libs.common.postgres import Connection
from services.records.domain.fields import Data, differing
from services.records.domain.operations import Create, Operation, Outcome, Upsert
from services.records.domain.reach import Reach
from services.records.domain.records import Change, Edge, Record
from services.records.storage import records
from services.records.usecases import claiming, deriving, files, relating, searching
from services.records.usecases.ahead import PART, ahead, beside, parts
from services.records.usecases.caller import Caller, Outrun
from services.records.usecases.claiming import not_unique
from services.records.usecases.following import Follower
from services.records.usecases.plan import Failures, Plan
from services.records.usecases.planning import planned
from services.records.usecases.scope import Scope
from services.records.usecases.settling import settle_all

MAX_WAVES = 200


class Writer(Scope):
    """Writes to one pipeline within one transaction."""

    def __init__(self, caller: Caller, reach: Reach, connection: Connection, operation_id: str | None = None) -> None:
        super().__init__(caller, reach, connection)
        self.operation_id = operation_id
        self._events: list[NewEvent] = []
        self._changes: list[Change] = []
        self._edges: list[Edge] = []
        self._fresh: set[UUID] = set()
        self._latest: dict[UUID, Record] = {}
        self._again: set[int] = set()
        self._ahead = claiming.Ahead()

    async def run(self, operations: Sequence[Operation], *, atomic: bool) -> list[Outcome]:
        """Does all, or with `atomic` raises nothing but leaves it to the caller to roll back on a failure."""
        await self.hold()
        outcomes: dict[int, Outcome] = {}
        rest = list(enumerate(operations))
        for _ in range(MAX_WAVES):
            wave, rest = await self._next_wave(rest, outcomes)
            await self._write(wave, outcomes, atomic=atomic)
            rest = [*self._outrun(wave, operations, outcomes, atomic=atomic), *rest]
            if not rest or (atomic and any(o.error for o in outcomes.values())):
                break
        else:
            raise Invalid(f"A batch may return to the same records at most {MAX_WAVES} times")
        await self.publish()
        for outcome in outcomes.values() if self._latest else ():
            outcome.record = outcome.record and self.latest(outcome.record)
        return [outcomes[index] for index in sorted(outcomes)]

    def _outrun(
        self,
        wave: Sequence[tuple[int, Operation]],
        operations: Sequence[Operation],
        outcomes: dict[int, Outcome],
        *,
        atomic: bool,
    ) -> list[tuple[int, Operation]]:
        """Those of a wave to be done again, once: upserts whose records another transaction made meanwhile."""
        late = [
            (index, operations[index])
            for index, _ in wave
            if index not in self._again and _made_meanwhile(operations[index], outcomes.get(index))
        ]
        if late and atomic:
            raise Outrun(self.pipeline.id)
        for index, _ in late:
            self._again.add(index)
            del outcomes[index]
        return late

    async def one(self, operation: Operation) -> Outcome:
        """Does one operation, or raises why it cannot be done."""
        outcome = (await self.run([operation], atomic=True))[0]
        try:
            if outcome.error is not None:
                raise outcome.error
            return outcome
        finally:
            del outcome  # Or the error holds this frame and the frame the error, with all that was sent.

    async def publish(self) -> None:
        """Writes the events that have come together into the outbox, and the words of the records they tell of."""
        await searching.keep(self.connection, self.tenant_id, self.pipeline, self._changes)
        tell = partial(outbox.write, self.connection, self.tenant_id)
        await beside(self._events, partial(outbox.encode, self.tenant_id), tell)
        changes, edges, fresh = self._changes, self._edges, self._fresh
        self._events, self._changes, self._edges, self._fresh = [], [], [], set()
        if self.followers or self.pipeline.computing or any(it.after.pipeline_id != self.pipeline.id for it in changes):
            await self._follow(changes, edges, fresh)

    async def _follow(self, changes: list[Change], edges: list[Edge], fresh: set[UUID]) -> None:
        """Lets computed values follow, here and in other pipelines; what could not, as soon as this is committed."""
        by, at, heavy = self.caller.principal, self.caller.now, self.caller.catalog.heavy
        follower = Follower(self.connection, self.tenant_id, by, at, heavy)
        brought, self.brought = self.brought, []
        own = {change.after.id for change in changes} - fresh
        await follower.follow([*brought, *changes], edges, fresh | {change.after.id for change in brought} - own)
        await follower.tell()
        self._latest |= {change.after.id: change.after for _, change in follower.changes}
        if follower.marked:
            settled = partial(settle_all, self.caller.database, self.tenant_id, follower.marked, heavy)
            self.caller.afterwards.append(settled)

    def latest(self, record: Record) -> Record:
        """A record that was written, as it is when computed values have followed."""
        found = self._latest.get(record.id)
        return record if found is None or found.version < record.version else found

    async def _next_wave(
        self, rest: list[tuple[int, Operation]], outcomes: dict[int, Outcome]
    ) -> tuple[list[tuple[int, Operation]], list[tuple[int, Operation]]]:
        if all(isinstance(operation, Create) for _, operation in rest):
            return rest, []
        found = await claiming.find(self, rest)
        touched: set[object] = set()
        wave: list[tuple[int, Operation]] = []
        for position, (index, operation) in enumerate(rest):
            try:
                resolved, keys = claiming.resolve(self, operation, found)
            except AppError as error:
                outcomes[index] = Outcome(index, "failed", error=error.with_traceback(None))
                continue
            if touched & keys and not isinstance(operation, Create):
                return wave, rest[position:]
            touched |= keys
            wave.append((index, resolved))
        return wave, []

    async def _write(self, wave: list[tuple[int, Operation]], outcomes: dict[int, Outcome], *, atomic: bool) -> None:
        """Writes a wave, one of new records in parts of which the next is planned while one is written."""
        todo: list[Sequence[tuple[int, Operation]]] = [wave] if wave else []
        sound, self._ahead = True, claiming.Ahead()
        if len(wave) > PART and self._planned_alone(wave):
            todo = parts(await self._ahead.take(self, wave) if self.pipeline.unique else wave)
        async with aclosing(ahead(todo, self._planned)) as plans:
            async for part, (plan, failures) in plans:
                sound = sound and not failures
                await self._write_part(part, plan, failures, outcomes, atomic=atomic, sound=sound)

    def _planned_alone(self, wave: Sequence[tuple[int, Operation]]) -> bool:
        """Whether nothing has to be asked of the database to plan a wave."""
        return not self.pipeline.auto_numbers and all(isinstance(operation, Create) for _, operation in wave)

    async def _planned(self, part: Sequence[tuple[int, Operation]]) -> tuple[Plan, Failures]:
        return await planned(self, part)

    async def _write_part(
        self,
        part: Sequence[tuple[int, Operation]],
        plan: Plan,
        failures: Failures,
        outcomes: dict[int, Outcome],
        *,
        atomic: bool,
        sound: bool,
    ) -> None:
        """Writes what was planned; where all or nothing is wanted and a plan was not sound, only tells why."""
        while True:
            await self._ahead.settle(self, plan, failures)
            if sound or not atomic:
                failures |= await self._attempt(plan, atomic=atomic)
            for index, error in failures.items():
                outcomes[index] = Outcome(index, "failed", error=error)
            if atomic or not any(index in plan.changes for index in failures):
                return self._conclude(plan, failures, outcomes)
            await self._ahead.settle(self, plan, failures)
            part = [(index, operation) for index, operation in part if index not in failures]
            if not part:
                return
            plan, failures = await self._planned(part)

    async def _attempt(self, plan: Plan, *, atomic: bool) -> Failures:
        """Writes a plan; where it fails in part and is not all or nothing, nothing of it stays."""
        if atomic:
            return await self._apply(plan)
        await self.connection.execute("savepoint wave")
        failures = await self._apply(plan)
        await self.connection.execute("rollback to savepoint wave" if failures else "release savepoint wave")
        return failures

    def _conclude(self, plan: Plan, failures: Failures, outcomes: dict[int, Outcome]) -> None:
        for index, record in plan.unchanged.items():
            outcomes[index] = Outcome(index, "unchanged", record)
        for index, change in plan.changes.items():
            if index not in failures:
                shown = tuple(edge for edge in plan.added.get(index, ()) if not edge.field)
                outcomes[index] = Outcome(index, change.operation, change.after, relationships=shown)
        done = [*plan.changes.values(), *plan.cascaded]
        self._fresh |= {change.after.id for change in plan.changes.values()}
        self.announce(done, [edge for added in plan.added.values() for edge in added], plan.gone)

    def announce(
        self, changes: Iterable[Change], made: Iterable[Edge], gone: Iterable[Edge], *, fresh: bool = False
    ) -> None:
        """Notes the events of what was done. Of `fresh` changes, what follows in the records themselves is done."""
        known = list(changes)
        self._fresh |= {change.after.id for change in known} if fresh else set()
        self._changes += known
        self._events += [change.event(self.caller.principal, self.operation_id) for change in known]
        came, went = list(made), list(gone)
        self._edges += [*came, *went]
        self._events += [edge.event("created") for edge in came]
        self._events += [edge.event("deleted") for edge in went]

    def tell(self, event: NewEvent) -> None:
        """Notes an event of something else that was done."""
        self._events.append(event)

    async def _apply(self, plan: Plan) -> Failures:
        failures = await relating.check_targets(self, plan) | await relating.check_users(self, plan)
        failures |= await files.check(self, plan)
        failures |= await relating.cascade(self, plan) | await claiming.claim(self, plan, self._ahead.held)
        failures |= await self._beyond_plan(plan)
        if failures:
            return failures
        failures = await self._derive(plan)
        if failures:
            return failures
        by, at, changes = self.caller.principal, self.caller.now, list(plan.changes.values())
        await records.insert(self.connection, by, at, [c for c in changes if c.operation == "created"])
        advancing = [c for c in changes if c.operation != "created"]
        await records.advance(self.connection, by, at, [*advancing, *plan.cascaded])
        await files.use(self, plan)
        return await relating.relate(self, plan) | await self._check_rules(plan)

    async def _derive(self, plan: Plan) -> Failures:
        """Computes what follows from relation fields that change, now that what they lead to stays as it is; rules and
        stages judge it.
        """
        computing = self.pipeline.computing
        if computing is None or not computing.across:
            return Failures()
        relations = computing.relations
        moved = {
            index: change
            for index, change in plan.changes.items()
            if change.operation == "created" or (change.operation == "updated" and relations & set(change.changed))
        }
        rows = [(change.after.id, change.after.data) for change in moved.values()]
        heavy, own = self.caller.catalog.heavy, computing.own if rows else ()
        values = await deriving.across(self.connection, self.tenant_id, own, rows, self.pipeline, heavy)
        none = {it.name: it.of_none for it in computing.across if not it.own}
        for index, change in moved.items():
            found = values[change.after.id] | (none if change.operation == "created" else {})
            plan.changes[index] = self._having(change, deriving.with_values(self.pipeline, change.after.data, found))
        return self._judged(plan)

    def _judged(self, plan: Plan) -> Failures:
        """What rules and stages say of changes that had to be derived first."""
        failures = Failures()
        for index, judge in plan.judges.items():
            change = plan.changes.get(index)
            if change is not None:
                data = dict(change.after.data)
                if faults := judge(data):
                    failures[index] = Invalid(errors=faults)
                elif data != change.after.data:
                    plan.changes[index] = self._having(change, data)
        return failures

    def _having(self, change: Change, data: Data) -> Change:
        before = change.before.data if change.before else {}
        after = msgspec.structs.replace(change.after, data=data, title=self.pipeline.title(data))
        return Change(
            change.operation, after, sorted(data) if not change.before else differing(before, data), change.before
        )

    async def _beyond_plan(self, plan: Plan) -> Failures:
        created = [index for index, change in plan.changes.items() if change.operation == "created"]
        room = await self.room(len(created))
        if room == len(created):
            return {}
        return dict.fromkeys(created[room:], await self.no_room())

    async def _check_rules(self, plan: Plan) -> Failures:
        ids = {c.after.id: index for index, c in plan.changes.items() if c.operation == "created"}
        if not ids or not self.create.ruled:
            return {}
        held = await records.passes(self.connection, self.tenant_id, ids, self.create, self.caller.context)
        failures = Failures()
        for record_id, passes in held.items():
            index = ids[record_id]
            try:
                self.create.check_writing(plan.given[index] & self.pipeline.fields.keys(), passes)
            except Forbidden as error:
                failures[index] = error
        return failures

    async def shown(self, record: Record) -> str | Record:
        """A record that was just written, as its writer may see it."""
        record = self.latest(record)
        if self.read.every_field:
            return record
        found = await records.get(self.connection, self.tenant_id, record.id, self.read, self.caller.context)
        if found is not None:
            return found[1]
        return Record(**{**_columns(record), "title": "", "data": {}})


def _made_meanwhile(operation: Operation, outcome: Outcome | None) -> bool:
    if not isinstance(operation, Upsert) or outcome is None or outcome.error is None:
        return False
    return not_unique(operation.by) in outcome.error.errors


def _columns(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}

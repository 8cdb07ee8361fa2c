"""The one way records are written: operations in, rows, history, unique values, relationships and events out.

A *wave* is a run of operations that touch different records; it is planned in memory and written with one statement per
table. What fails in a wave that need not be atomic is taken out, the wave is rolled back to where it began and written
again without it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from libs.common import outbox
from libs.common.clock import rfc3339
from libs.common.errors import AppError, Conflict, Fault, Forbidden, Invalid, NotFound
from libs.common.events import NewEvent
from libs.common.ids import new_id
from libs.common.postgres import Connection
from services.records.domain import fields, json_patch
from services.records.domain.operations import (
    Create,
    Delete,
    Operation,
    Outcome,
    Update,
    Upsert,
    field_edge,
    related_ids,
)
from services.records.domain.pipelines import numbered, unique_key
from services.records.domain.reach import Reach
from services.records.domain.records import Change, Edge, Record, advanced, collisions, stale
from services.records.domain.rules import compile_rules
from services.records.storage import counters, definitions, edges, records, uniques, users
from services.records.storage.records import Locked
from services.records.storage.uniques import Claim
from services.records.usecases.caller import Caller

MAX_WAVES = 200
MAX_CASCADE = 10_000

Failures = dict[int, AppError]


class Plan:
    """What a wave will do: by index of the operation its change, its new relationships, its claims."""

    def __init__(self) -> None:
        self.changes: dict[int, Change] = {}
        self.unchanged: dict[int, Record] = {}
        self.added: dict[int, list[Edge]] = {}
        self.removed: list[edges.FieldEnd] = []
        self.claims: dict[int, list[Claim]] = {}
        self.released: list[Claim] = []
        self.given: dict[int, frozenset[str]] = {}
        self.cascaded: list[Change] = []
        self.gone: list[Edge] = []
        self.numbers: dict[int, dict[str, str]] = {}
        self.users: dict[int, list[tuple[str, UUID]]] = {}


class Writer:
    """Writes to one pipeline within one transaction."""

    def __init__(self, caller: Caller, reach: Reach, connection: Connection, operation_id: str | None = None) -> None:
        self.caller = caller
        self.reach = reach
        self.pipeline = reach.pipeline
        self.connection = connection
        self.tenant_id = caller.tenant_id
        self.operation_id = operation_id
        self.read = reach.access("read")
        self.create = reach.access("create")
        self.update = reach.access("update")
        self.delete = reach.access("delete")
        self.rules = compile_rules(reach.pipeline, caller.context)
        self._events: list[NewEvent] = []

    async def run(self, operations: Sequence[Operation], *, atomic: bool) -> list[Outcome]:
        """Does all, or with `atomic` raises nothing but leaves it to the caller to roll back on a failure."""
        outcomes: dict[int, Outcome] = {}
        rest = list(enumerate(operations))
        for _ in range(MAX_WAVES):
            wave, rest = await self._next_wave(rest, outcomes)
            await self._write(wave, outcomes, atomic=atomic)
            if not rest or (atomic and any(o.error for o in outcomes.values())):
                break
        else:
            raise Invalid(f"A batch may return to the same records at most {MAX_WAVES} times")
        await self.publish()
        return [outcomes[index] for index in sorted(outcomes)]

    async def one(self, operation: Operation) -> Outcome:
        """Does one operation, or raises why it cannot be done."""
        outcome = (await self.run([operation], atomic=True))[0]
        if outcome.error is not None:
            raise outcome.error
        return outcome

    async def publish(self) -> None:
        """Writes the events that have come together into the outbox."""
        await outbox.record(self.connection, self.tenant_id, self._events)
        self._events = []

    async def _next_wave(
        self, rest: list[tuple[int, Operation]], outcomes: dict[int, Outcome]
    ) -> tuple[list[tuple[int, Operation]], list[tuple[int, Operation]]]:
        found = await self._find(rest)
        touched: set[object] = set()
        wave: list[tuple[int, Operation]] = []
        for position, (index, operation) in enumerate(rest):
            try:
                resolved, keys = self._resolve(operation, found)
            except AppError as error:
                outcomes[index] = Outcome(index, "failed", error=error)
                continue
            if touched & keys and not isinstance(operation, Create):
                return wave, rest[position:]
            touched |= keys
            wave.append((index, resolved))
        return wave, []

    async def _find(self, rest: Sequence[tuple[int, Operation]]) -> dict[tuple[str, str], UUID]:
        wanted: dict[str, set[str]] = {}
        for _, operation in rest:
            if isinstance(operation, Upsert) and (key := self._upsert_key(operation)):
                wanted.setdefault(operation.by, set()).add(key)
        found: dict[tuple[str, str], UUID] = {}
        for name, keys in wanted.items():
            present = await uniques.find(self.connection, self.tenant_id, self.pipeline.id, name, keys)
            found |= {(name, key): record_id for key, record_id in present.items()}
        return found

    def _resolve(self, operation: Operation, found: Mapping[tuple[str, str], UUID]) -> tuple[Operation, set[object]]:
        match operation:
            case Update(record_id) | Delete(record_id):
                return operation, {record_id}
            case Upsert(by, data):
                key = self._upsert_key(operation)
                if key is None:
                    raise Invalid(errors=[self._upsert_fault(operation)])
                present = found.get((by, key))
                if present is None:
                    return Create(data), {(by, key)}
                return Update(present, data), {(by, key), present}
            case Create(data):
                return operation, set(self._keys(data))

    def _keys(self, data: Mapping[str, object]) -> list[tuple[str, str]]:
        given = ((name, data[name]) for name in self.pipeline.unique if data.get(name) is not None)
        return [(name, unique_key(self.pipeline.fields[name], value)) for name, value in given]

    def _upsert_key(self, operation: Upsert) -> str | None:
        field = self.pipeline.fields.get(operation.by)
        if field is None or not field.unique or not self.read.names(operation.by):
            return None
        values, faults = fields.checked(self.pipeline, {operation.by: operation.data.get(operation.by)})
        value = values.get(operation.by)
        return None if faults or value is None else unique_key(field, value)

    def _upsert_fault(self, operation: Upsert) -> Fault:
        field = self.pipeline.fields.get(operation.by)
        if field is None or not field.unique or not self.read.names(operation.by):
            return Fault("/by", "not_unique_field", f"'{operation.by}' is not a unique field")
        _, faults = fields.checked(self.pipeline, {operation.by: operation.data.get(operation.by)})
        return faults[0] if faults else Fault(f"/data/{operation.by}", "required", f"'{operation.by}' is required")

    async def _write(self, wave: list[tuple[int, Operation]], outcomes: dict[int, Outcome], *, atomic: bool) -> None:
        while wave:
            plan, failures = await self._plan(wave)
            if not (failures and atomic):
                failures |= await self._attempt(plan, atomic=atomic)
            for index, error in failures.items():
                outcomes[index] = Outcome(index, "failed", error=error)
            if atomic or not any(index in plan.changes for index in failures):
                return self._conclude(plan, failures, outcomes)
            wave = [(index, operation) for index, operation in wave if index not in failures]

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
        self.announce(done, [edge for added in plan.added.values() for edge in added], plan.gone)

    def announce(self, changes: Iterable[Change], made: Iterable[Edge], gone: Iterable[Edge]) -> None:
        """Notes the events of what was done."""
        self._events += [change.event(self.caller.principal, self.operation_id) for change in changes]
        self._events += [edge.event("created") for edge in made]
        self._events += [edge.event("deleted") for edge in gone]

    async def _plan(self, wave: Sequence[tuple[int, Operation]]) -> tuple[Plan, Failures]:
        plan, failures = Plan(), Failures()
        await self._number(plan, wave)
        ids = [operation.id for _, operation in wave if isinstance(operation, Update | Delete)]
        locked = await self.lock(ids) if ids else {}
        for index, operation in wave:
            try:
                await self._plan_one(plan, index, operation, locked)
            except AppError as error:
                failures[index] = error
        return plan, failures

    async def _number(self, plan: Plan, wave: Sequence[tuple[int, Operation]]) -> None:
        """Takes the automatic numbers of the records that will be made; they come in the order of the operations."""
        made = [index for index, operation in wave if isinstance(operation, Create)]
        for field in self.pipeline.auto_numbers if made else ():
            last = await counters.take(self.connection, self.tenant_id, self.pipeline.id, field.name, len(made))
            for number, index in enumerate(made, last - len(made) + 1):
                plan.numbers.setdefault(index, {})[field.name] = numbered(field, number)

    async def lock(self, ids: Sequence[UUID]) -> dict[UUID, Locked]:
        """Locks records of the pipeline and asks which rules hold on them."""
        accesses = self.read, self.update, self.delete
        return await records.lock(self.connection, self.tenant_id, ids, self.caller.context, *accesses)

    async def _plan_one(self, plan: Plan, index: int, operation: Operation, locked: Mapping[UUID, Locked]) -> None:
        match operation:
            case Create():
                self._plan_create(plan, index, operation)
            case Update(record_id):
                await self._plan_update(plan, index, operation, self.present(locked, record_id))
            case Delete(record_id):
                self._plan_delete(plan, index, operation, self.present(locked, record_id))

    def present(self, locked: Mapping[UUID, Locked], record_id: UUID, *, deleted: bool = False) -> Locked:
        """A locked record that may be seen; in the trash only if that is where it is looked for."""
        row = locked.get(record_id)
        if row is None or row.deleted is not deleted or not self.read.holds(row.reads):
            raise NotFound("There is no such record")
        return row

    def _plan_create(self, plan: Plan, index: int, operation: Create) -> None:
        if not self.create.alternatives:
            raise Forbidden("No grant allows records to be made in this pipeline")
        names = frozenset(operation.data)
        numbers = plan.numbers.get(index, {})
        data, faults = fields.created(self.pipeline, operation.data, self._presets(names), numbers, self.rules)
        if faults := self.read.hidden(names, self.create) + faults:
            raise Invalid(errors=faults)
        self.create.check_writing(names & self.pipeline.fields.keys(), None)
        at, by = rfc3339(self.caller.now), self.caller.principal.id
        after = Record(new_id(), self.pipeline.id, 1, self.pipeline.title(data), data, at, by, at, by)
        plan.given[index] = names
        self._note(plan, index, Change("created", after, sorted(data)))
        plan.added[index] = [*plan.added.get(index, ()), *(link.edge(after) for link in operation.links)]

    def _presets(self, names: frozenset[str]) -> dict[str, object]:
        known = {"$user": self.caller.context.user, "$now": rfc3339(self.caller.now)}
        presets = self.create.presets(names)
        return {name: known.get(value, value) if isinstance(value, str) else value for name, value in presets.items()}

    async def _plan_update(self, plan: Plan, index: int, operation: Update, row: Locked) -> None:
        self.update.check_writing(frozenset(), row.updates)
        before = row.record()
        patch = self._patch(operation, row, before)
        data, faults = fields.changed(self.pipeline, before.data, patch, self.rules)
        if faults := self.read.hidden(patch, self.update) + faults:
            raise Invalid(errors=faults)
        changed = fields.differing(before.data, data)
        self.update.check_writing(frozenset(changed), row.updates)
        if operation.version is not None and operation.version != before.version:
            await self._check_stale(patch, operation, row, before, data)
        if not changed:
            plan.unchanged[index] = before
            return
        after = advanced(before, data, self.pipeline.title(data), self.caller.principal.id, self.caller.now)
        self._note(plan, index, Change("updated", after, changed, before))

    def _patch(self, operation: Update, row: Locked, before: Record) -> Mapping[str, object]:
        if operation.steps:
            readable = self.read.readable_of(row.reads)
            shown = {name: v for name, v in before.data.items() if readable is None or name in readable}
            return json_patch.merge_patch(operation.steps, shown)
        return self._replacing(operation.patch, row) if operation.replace else operation.patch

    def _replacing(self, given: Mapping[str, object], row: Locked) -> dict[str, object]:
        readable = self.read.readable_of(row.reads)
        given_once = {field.name for field in self.pipeline.auto_numbers}
        shown = (n for n in self.pipeline.fields if n not in given_once and (readable is None or n in readable))
        return {**dict.fromkeys(shown), **given}

    async def _check_stale(
        self, patch: Mapping[str, object], operation: Update, row: Locked, before: Record, data: Mapping[str, object]
    ) -> None:
        version = operation.version or 0
        since = await records.changes_since(self.connection, self.tenant_id, row.id, version)
        attempted = {name: data.get(name) for name in patch}
        found = collisions(before.data, attempted, since)
        if found or operation.exact or version > before.version:
            readable = self.read.readable_of(row.reads)
            raise stale(before.version, [c for c in found if readable is None or c.field in readable])

    def _plan_delete(self, plan: Plan, index: int, operation: Delete, row: Locked) -> None:
        if not self.delete.holds(row.deletes) or not self.delete.alternatives:
            raise Forbidden("No grant allows this record to be deleted")
        if operation.version is not None and operation.version != row.version:
            raise stale(row.version)
        plan.changes[index] = self.trashing(row)

    def trashing(self, row: Locked) -> Change:
        """The change that puts a record into the trash."""
        before = row.record()
        after = advanced(before, before.data, before.title, self.caller.principal.id, self.caller.now)
        return Change("deleted", after, [], before)

    def _note(self, plan: Plan, index: int, change: Change) -> None:
        plan.changes[index] = change
        before, after = change.before.data if change.before else {}, change.after.data
        for name in change.changed:
            field = self.pipeline.fields.get(name)
            if field is None:
                continue
            if field.unique:
                old, new = before.get(name), after.get(name)
                if old is not None and change.before:
                    plan.released.append((name, unique_key(field, old), change.after.id))
                if new is not None:
                    plan.claims.setdefault(index, []).append((name, unique_key(field, new), change.after.id))
            if field.type == "user":
                known = related_ids(before.get(name))
                new = [(name, UUID(user)) for user in related_ids(after.get(name)) if user not in known]
                plan.users.setdefault(index, []).extend(new)
            if field.type == "relation":
                old_ids, new_ids = related_ids(before.get(name)), related_ids(after.get(name))
                plan.removed += [(change.after.id, name, UUID(gone)) for gone in old_ids if gone not in new_ids]
                added = [field_edge(change.after, field, new) for new in new_ids if new not in old_ids]
                plan.added.setdefault(index, []).extend(added)

    async def _apply(self, plan: Plan) -> Failures:
        failures = await self._check_targets(plan) | await self._check_users(plan) | await self._cascade(plan)
        failures |= await self._claim(plan)
        if failures:
            return failures
        by, at, changes = self.caller.principal, self.caller.now, list(plan.changes.values())
        await records.insert(self.connection, by, at, [c.after for c in changes if c.operation == "created"])
        advancing = [c for c in changes if c.operation != "created"]
        await records.advance(self.connection, by, at, [*advancing, *plan.cascaded])
        return await self._relate(plan) | await self._check_rules(plan)

    async def _check_targets(self, plan: Plan) -> Failures:
        wanted: dict[UUID, set[UUID]] = {}
        for index, added in plan.added.items():
            for edge in added:
                pipeline_id, record_id = _other_end(edge, plan.changes[index].after.id)
                wanted.setdefault(pipeline_id, set()).add(record_id)
        seen: set[UUID] = set()
        for pipeline_id, ids in sorted(wanted.items()):
            seen |= await self.seen(pipeline_id, ids)
        return {
            index: Invalid(errors=faults)
            for index, added in plan.added.items()
            if (faults := [f for edge in added if (f := _missing(edge, plan.changes[index].after.id, seen, added))])
        }

    async def _check_users(self, plan: Plan) -> Failures:
        wanted = {user for named in plan.users.values() for _, user in named} - {self.caller.principal.id}
        known = await users.known(self.connection, self.tenant_id, wanted) | {self.caller.principal.id}
        return {
            index: Invalid(errors=faults)
            for index, named in plan.users.items()
            if (faults := [_no_user(name, user) for name, user in named if user not in known])
        }

    async def seen(self, pipeline_id: UUID, ids: set[UUID]) -> set[UUID]:
        """Which records of a pipeline may be seen, and stay until the transaction ends."""
        reach = self.reach if self.reach.leads_to(pipeline_id) else self.caller.warm_reach(pipeline_id)
        if reach is None:
            return set()
        access = reach.access("read", pipeline_id)
        return await records.visible(self.connection, self.tenant_id, ids, access, self.caller.context, hold=True)

    async def _claim(self, plan: Plan) -> Failures:
        gone = [c.after.id for c in [*plan.changes.values(), *plan.cascaded] if c.operation == "deleted"]
        if gone:
            await uniques.release_records(self.connection, self.tenant_id, gone)
        await uniques.release(self.connection, self.tenant_id, self.pipeline.id, plan.released)
        first, failures = _once(plan.claims)
        taken = await uniques.claim(self.connection, self.tenant_id, self.pipeline.id, first)
        for index, claims in plan.claims.items():
            faults = [not_unique(name) for name, key, _ in claims if (name, key) in taken]
            if faults:
                failures[index] = Invalid(errors=faults)
        return failures

    async def _cascade(self, plan: Plan) -> Failures:
        roots = {c.after.id: index for index, c in plan.changes.items() if c.operation == "deleted"}
        if not roots:
            return {}
        closure, restricted = await self.holders(roots)
        along = await records.lock_any(self.connection, self.tenant_id, sorted(closure.keys() - roots.keys()))
        plan.cascaded += [self.trashing(row) for row in along.values() if not row.deleted]
        return {
            index: Conflict(f"Other records hold on to this one by '{edge.type}'", code="restricted")
            for index, edge in restricted.items()
        }

    async def holders(self, roots: Mapping[UUID, int]) -> tuple[dict[UUID, int], dict[int, Edge]]:
        """What goes along when these are deleted, by root; and the roots that others' relationships hold on to."""
        closure, restricted, ahead = dict(roots), dict[int, Edge](), dict(roots)
        while ahead:
            found = await edges.incoming(self.connection, self.tenant_id, ahead, MAX_CASCADE)
            rules = await definitions.delete_rules(self.connection, self.tenant_id, {edge.type for edge in found})
            held = [edge for edge in found if edge.source_id not in closure]
            ahead = {e.source_id: closure[e.target_id] for e in held if rules.get(e.type) == "cascade"}
            restricted |= {closure[e.target_id]: e for e in held if rules.get(e.type) == "restrict"}
            closure |= ahead
            if len(closure) > MAX_CASCADE:
                raise Conflict(f"More than {MAX_CASCADE} records would be deleted with it", code="too-many-dependents")
        return closure, restricted

    async def _relate(self, plan: Plan) -> Failures:
        plan.gone = await edges.delete_of_fields(self.connection, self.tenant_id, plan.removed)
        added = [edge for new in plan.added.values() for edge in new]
        made = await edges.insert(self.connection, self.caller.principal, self.caller.now, added)
        return {
            index: Invalid(errors=faults)
            for index, new in plan.added.items()
            if (faults := [cardinality_fault(edge, new) for edge in new if edge.id not in made])
        }

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
        if self.read.every_field:
            return record
        found = await records.get(self.connection, self.tenant_id, record.id, self.read, self.caller.context)
        if found is not None:
            return found[1]
        return Record(**{**_columns(record), "title": "", "data": {}})


def not_unique(name: str) -> Fault:
    """The fault of a value that another record has."""
    return Fault(f"/data/{name}", "not_unique", f"Another record has this '{name}'")


def _no_user(name: str, user: UUID) -> Fault:
    return Fault(f"/data/{name}", "not_found", f"There is no user {user}")


def cardinality_fault(edge: Edge, among: Sequence[Edge]) -> Fault:
    """The fault of a relationship for which there is no room."""
    return Fault(_pointer(edge, among), "cardinality", f"'{edge.type}' does not allow another relationship here")


def _pointer(edge: Edge, among: Sequence[Edge]) -> str:
    if edge.field:
        return f"/data/{edge.field}"
    return f"/relationships/{[e.id for e in among if not e.field].index(edge.id)}"


def _other_end(edge: Edge, record_id: UUID) -> tuple[UUID, UUID]:
    if edge.source_id == record_id:
        return edge.target_pipeline, edge.target_id
    return edge.source_pipeline, edge.source_id


def _missing(edge: Edge, record_id: UUID, seen: set[UUID], among: Sequence[Edge]) -> Fault | None:
    _, other = _other_end(edge, record_id)
    if other in seen or other == record_id:
        return None
    pointer = _pointer(edge, among)
    return Fault(pointer if edge.field else f"{pointer}/target_record", "not_found", f"There is no record {other}")


def _once(claims: Mapping[int, Sequence[Claim]]) -> tuple[list[Claim], Failures]:
    """Each value once, for the first operation that wants it; the others fail."""
    taken: dict[tuple[str, str], int] = {}
    failures = Failures()
    found: list[Claim] = []
    for index, wanted in claims.items():
        faults = [not_unique(name) for name, key, _ in wanted if (name, key) in taken]
        if faults:
            failures[index] = Invalid(errors=faults)
            continue
        taken |= {(name, key): index for name, key, _ in wanted}
        found += wanted
    return found, failures


def _columns(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}

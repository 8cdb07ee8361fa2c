"""Values that only one record of a pipeline may have: found for upserts, claimed, given back."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid, StaleVersion
from libs.common.ids import new_id
from services.records.domain import fields
from services.records.domain.definitions import Field
from services.records.domain.operations import Create, Delete, Operation, Update, Upsert
from services.records.domain.pipelines import unique_key
from services.records.storage import uniques
from services.records.storage.uniques import Claim
from services.records.usecases.plan import Failures, Plan
from services.records.usecases.scope import Scope

BREATH = 250
"""After so many operations others have their turn."""


async def find(scope: Scope, rest: Sequence[tuple[int, Operation]]) -> dict[tuple[str, str], UUID]:
    """The records that have the values by which operations upsert, by field and value."""
    wanted: dict[str, set[str]] = {}
    for _, operation in rest:
        if isinstance(operation, Upsert) and (key := _upsert_key(scope, operation)):
            wanted.setdefault(operation.by, set()).add(key)
    found: dict[tuple[str, str], UUID] = {}
    for name, keys in wanted.items():
        present = await uniques.find(
            scope.connection, scope.tenant_id, scope.pipeline.id, scope.pipeline.definition.claim_of(name), keys
        )
        found |= {(name, key): record_id for key, record_id in present.items()}
    return found


def resolve(scope: Scope, operation: Operation, found: Mapping[tuple[str, str], UUID]) -> tuple[Operation, set[object]]:
    """The operation, an upsert as what it comes to, and what it touches; `Invalid` where an upsert names no value."""
    match operation:
        case Update(record_id) | Delete(record_id):
            return operation, {record_id}
        case Upsert(by, data):
            key = _upsert_key(scope, operation)
            if key is None:
                raise Invalid(errors=[_upsert_fault(scope, operation)])
            present = found.get((by, key))
            if present is None and operation.version is not None:
                raise StaleVersion("There is no such record any more")
            if present is None:
                return Create(data), {(by, key)}
            return Update(present, data, operation.version), {(by, key), present}
        case Create(data):
            return operation, set(_keys(scope, data))


def _keys(scope: Scope, data: Mapping[str, object]) -> list[tuple[str, str]]:
    given = ((name, data[name]) for name in scope.pipeline.unique if data.get(name) is not None)
    return [(name, unique_key(scope.pipeline.fields[name], value)) for name, value in given]


def _upsert_key(scope: Scope, operation: Upsert) -> str | None:
    field = _upsert_field(scope, operation)
    if field is None:
        return None
    values, faults = fields.checked(scope.pipeline, {operation.by: operation.data.get(operation.by)})
    value = values.get(operation.by)
    return None if faults or value is None else unique_key(field, value)


def _upsert_field(scope: Scope, operation: Upsert) -> Field | None:
    """The field, if the caller may know it and if it is unique: not while values that are there are still claimed."""
    field, name = scope.pipeline.fields.get(operation.by), operation.by
    if field is None or not field.unique or name in scope.pipeline.claiming or not scope.read.names(name):
        return None
    return field


def _upsert_fault(scope: Scope, operation: Upsert) -> Fault:
    if _upsert_field(scope, operation) is None:
        return Fault("/by", "not_unique_field", f"'{operation.by}' is not a unique field")
    _, faults = fields.checked(scope.pipeline, {operation.by: operation.data.get(operation.by)})
    return faults[0] if faults else Fault(f"/data/{operation.by}", "required", f"'{operation.by}' is required")


class Ahead:
    """Claims of the records of a wave that is written in parts, made before it is, over all parts in one order: so of
    two that want the same values the second waits, and neither for the other.
    """

    def __init__(self) -> None:
        self._claims: dict[int, list[Claim]] = {}
        self.held: set[Claim] = set()

    async def take(self, scope: Scope, wave: Sequence[tuple[int, Operation]]) -> list[tuple[int, Operation]]:
        """Claims what new records will have, as far as it is free; they have ids from now on."""
        made: list[tuple[int, Operation]] = []
        wanted: dict[tuple[str, str], Claim] = {}
        for place, (index, operation) in enumerate(wave, 1):
            if place % BREATH == 0:
                await asyncio.sleep(0)
            if isinstance(operation, Create):
                record_id = new_id()
                self._claims[index] = [(name, key, record_id) for name, key in _wanted(scope, operation)]
                for it in self._claims[index]:
                    wanted.setdefault(it[:2], it)
                operation = msgspec.structs.replace(operation, id=record_id)
            made.append((index, operation))
        taken = await take(scope, list(wanted.values()))
        self.held = {it for key, it in wanted.items() if key not in taken}
        return made

    async def settle(self, scope: Scope, plan: Plan, failures: Failures) -> None:
        """Gives back what was claimed for records that cannot be made, or do not have it: others may."""
        gone = [it for index in failures for it in self._claims.pop(index, ())]
        for index in plan.changes.keys() & self._claims.keys():
            gone += [it for it in self._claims[index] if it not in plan.claims.get(index, ())]
        gone = [it for it in gone if it in self.held]
        self.held.difference_update(gone)
        await release(scope, gone)


def _wanted(scope: Scope, operation: Create) -> Iterator[tuple[str, str]]:
    pipeline = scope.pipeline
    presets = scope.create.presets(frozenset(operation.data))
    for name in pipeline.unique:
        value = presets.get(name, operation.data.get(name, pipeline.defaults.get(name)))
        found, _ = fields.checked(pipeline, {name: value})
        if found.get(name) is not None:
            yield name, unique_key(pipeline.fields[name], found[name])


async def claim(scope: Scope, plan: Plan, held: Collection[Claim] = frozenset()) -> Failures:
    """Gives back the values that go and takes those that come and are not `held` yet; who comes too late fails."""
    gone = [c.after.id for c in [*plan.changes.values(), *plan.cascaded] if c.operation == "deleted"]
    if gone:
        await uniques.release_records(scope.connection, scope.tenant_id, gone)
    await release(scope, plan.released)
    first, failures = _once(plan.claims)
    taken = await take(scope, [it for it in first if it not in held]) | await _unclaimed(scope, plan, first)
    for index, claims in plan.claims.items():
        faults = [not_unique(name) for name, key, _ in claims if (name, key) in taken]
        if faults:
            failures[index] = Invalid(errors=faults)
    return failures


async def _unclaimed(scope: Scope, plan: Plan, claims: Sequence[Claim]) -> set[tuple[str, str]]:
    """Those that other records have without having claimed them: while a field becomes unique the job may be behind."""
    data = {change.after.id: change.after.data for change in plan.changes.values()}
    wanted = [(*claim, {claim[0]: data[claim[2]][claim[0]]}) for claim in claims if claim[0] in scope.pipeline.claiming]
    if not wanted:
        return set()
    return await uniques.unclaimed(scope.connection, scope.tenant_id, scope.pipeline.id, wanted)


async def take(scope: Scope, claims: Sequence[Claim]) -> set[tuple[str, str]]:
    """Claims values of fields; gives back those that another record has, by field."""
    names = {scope.pipeline.definition.claim_of(name): name for name, _, _ in claims}
    known = [(scope.pipeline.definition.claim_of(name), key, record_id) for name, key, record_id in claims]
    taken = await uniques.claim(scope.connection, scope.tenant_id, scope.pipeline.id, known)
    return {(names[claimed], key) for claimed, key in taken}


async def release(scope: Scope, claims: Sequence[Claim]) -> None:
    """Gives values of fields back."""
    known = [(scope.pipeline.definition.claim_of(name), key, record_id) for name, key, record_id in claims]
    await uniques.release(scope.connection, scope.tenant_id, scope.pipeline.id, known)


def not_unique(name: str) -> Fault:
    """The fault of a value that another record has."""
    return Fault(f"/data/{name}", "not_unique", f"Another record has this '{name}'")


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

"""From operations to a plan: what each of a wave's changes, judged by domain rules and what the caller may."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from uuid import UUID

from libs.common.clock import rfc3339
from libs.common.errors import AppError, Fault, Forbidden, Invalid
from libs.common.ids import new_id
from services.records.domain import fields, json_patch
from services.records.domain.operations import Create, Delete, Operation, Update, field_edge, related_ids
from services.records.domain.permissions import Fields
from services.records.domain.pipelines import numbered, unique_key
from services.records.domain.records import Change, Record, advanced, collisions, stale
from services.records.storage import counters, history
from services.records.storage.records import Locked
from services.records.usecases import fencing
from services.records.usecases.plan import Failures, Plan
from services.records.usecases.scope import Scope

BREATH = 50
"""After so many operations others have their turn."""


async def planned(scope: Scope, wave: Sequence[tuple[int, Operation]]) -> tuple[Plan, Failures]:
    """The plan of a wave, whose records are locked from now on, and what cannot be done."""
    plan, failures = Plan(), Failures()
    await _number(scope, plan, wave)
    ids = [operation.id for _, operation in wave if isinstance(operation, Update | Delete)]
    locked = await scope.lock(ids) if ids else {}
    for place, (index, operation) in enumerate(wave, 1):
        if place % BREATH == 0:
            await asyncio.sleep(0)  # Others wait for this process besides.
        try:
            await _plan_one(scope, plan, index, operation, locked)
        except AppError as error:
            failures[index] = error.with_traceback(None)
    return plan, failures


async def _number(scope: Scope, plan: Plan, wave: Sequence[tuple[int, Operation]]) -> None:
    """Takes the automatic numbers of the records that will be made; they come in the order of the operations."""
    made = [index for index, operation in wave if isinstance(operation, Create)]
    for field in scope.pipeline.auto_numbers if made else ():
        last = await counters.take(scope.connection, scope.tenant_id, scope.pipeline.id, field.name, len(made))
        for number, index in enumerate(made, last - len(made) + 1):
            plan.numbers.setdefault(index, {})[field.name] = numbered(field, number)


async def _plan_one(scope: Scope, plan: Plan, index: int, operation: Operation, locked: Mapping[UUID, Locked]) -> None:
    match operation:
        case Create():
            _plan_create(scope, plan, index, operation)
        case Update(record_id):
            await _plan_update(scope, plan, index, operation, scope.present(locked, record_id))
        case Delete(record_id):
            _plan_delete(scope, plan, index, operation, scope.present(locked, record_id))


def _plan_create(scope: Scope, plan: Plan, index: int, operation: Create) -> None:
    if not scope.create.alternatives:
        raise Forbidden("No grant allows records to be made in this pipeline")
    if operation.unlinked is not None:
        raise operation.unlinked
    unknown, given = _known(scope.read.hidden(operation.data, scope.create), operation.data)
    names = frozenset(operation.data)
    numbers = plan.numbers.get(index, {})
    later = scope.pipeline.computing is not None and bool(scope.pipeline.computing.across)
    rules = None if later else scope.rules
    data, faults = fields.created(scope.pipeline, given, _presets(scope, names), numbers, rules)
    if later:
        plan.judges[index] = lambda found: fields.judged_new(scope.pipeline, found, names, scope.rules)
    if faults := unknown + faults:
        raise Invalid(errors=faults)
    scope.create.check_writing(names & scope.pipeline.fields.keys(), None)
    at, by = rfc3339(scope.caller.now), scope.caller.principal.id
    after = Record(operation.id or new_id(), scope.pipeline.id, 1, scope.pipeline.title(data), data, at, by, at, by)
    plan.given[index] = names
    _note(scope, plan, index, Change("created", after, sorted(data)))
    if operation.links:
        plan.added.setdefault(index, []).extend(link.edge(after) for link in operation.links)


def _presets(scope: Scope, names: frozenset[str]) -> dict[str, object]:
    presets = scope.create.presets(names)
    if not presets:
        return {}
    known = {"$user": scope.caller.context.user, "$now": rfc3339(scope.caller.now)}
    return {name: known.get(value, value) if isinstance(value, str) else value for name, value in presets.items()}


async def _plan_update(scope: Scope, plan: Plan, index: int, operation: Update, row: Locked) -> None:
    scope.update.check_writing(frozenset(), row.updates)
    before, readable = row.record(), scope.read.readable_of(row.reads)
    patch = _patch(scope, operation, row, before)
    unknown, patch = _known(scope.read.hidden(patch, scope.update), patch)
    later = scope.pipeline.computing is not None and bool(scope.pipeline.computing.relations & patch.keys())
    rules = None if later else scope.rules
    data, faults = fields.changed(scope.pipeline, before.data, patch, rules, whole=operation.whole)
    if later:
        judge = partial(fields.judged_changed, scope.pipeline, before.data, named=patch, rules=scope.rules)
        plan.judges[index] = lambda found: fields.told_to(readable, judge(found))
    # What cannot be seen counts as changed by whoever writes it, who would learn otherwise that it was the same.
    unseen = _unseen(scope, patch, readable)
    if unknown and unseen:
        raise Invalid(errors=unknown)
    scope.update.check_writing(frozenset(unseen) - scope.pipeline.computed, row.updates)
    faults += [fault for name in sorted(unseen & scope.pipeline.given) if (fault := fields.given(name)) not in faults]
    if faults := unknown + fields.told_to(readable, faults):
        raise Invalid(errors=faults)
    changed = sorted({*fields.differing(before.data, data), *unseen})
    scope.update.check_writing(frozenset(changed) - scope.pipeline.computed, row.updates)
    if operation.version is not None and operation.version != before.version:
        await _check_stale(scope, patch, operation, before, data, readable)
    if not changed:
        plan.unchanged[index] = before
        return
    await fencing.check(scope, row, changed, operation.tokens)
    after = advanced(before, data, scope.pipeline.title(data), scope.caller.principal.id, scope.caller.now)
    _note(scope, plan, index, Change("updated", after, changed, before))


def _known(unknown: list[Fault], given: Mapping[str, object]) -> tuple[list[Fault], Mapping[str, object]]:
    """The faults of naming what does not exist for the caller, and the rest, which alone is judged."""
    if not unknown:
        return unknown, given
    pointers = {fault.pointer for fault in unknown}
    return unknown, {name: value for name, value in given.items() if f"/data/{name}" not in pointers}


def _unseen(scope: Scope, names: Iterable[str], readable: Fields) -> set[str]:
    """Those of the fields that may not be seen."""
    return set() if readable is None else (set(names) & scope.pipeline.fields.keys()) - readable


def _patch(scope: Scope, operation: Update, row: Locked, before: Record) -> Mapping[str, object]:
    if operation.steps:
        readable = scope.read.readable_of(row.reads)
        shown = {name: v for name, v in before.data.items() if readable is None or name in readable}
        return json_patch.merge_patch(operation.steps, shown)
    return _replacing(scope, operation.patch, row) if operation.replace else operation.patch


def _replacing(scope: Scope, given: Mapping[str, object], row: Locked) -> dict[str, object]:
    readable = scope.read.readable_of(row.reads)
    shown = (n for n in scope.pipeline.fields if n not in scope.pipeline.given and (readable is None or n in readable))
    return {**dict.fromkeys(shown), **given}


async def _check_stale(
    scope: Scope,
    patch: Mapping[str, object],
    operation: Update,
    before: Record,
    data: Mapping[str, object],
    readable: Fields,
) -> None:
    version = operation.version or 0
    since = await history.changes_since(scope.connection, scope.tenant_id, before.id, version)
    attempted = {name: data.get(name) for name in patch}
    found, unseen = collisions(before.data, attempted, since), _unseen(scope, patch, readable)
    if found or unseen & since.keys() or operation.exact or version > before.version:
        raise stale(before.version, [c for c in found if c.field not in unseen])


def _plan_delete(scope: Scope, plan: Plan, index: int, operation: Delete, row: Locked) -> None:
    if not scope.delete.holds(row.deletes) or not scope.delete.alternatives:
        raise Forbidden("No grant allows this record to be deleted")
    if operation.version is not None and operation.version != row.version:
        raise stale(row.version)
    plan.changes[index] = scope.trashing(row)


def _note(scope: Scope, plan: Plan, index: int, change: Change) -> None:
    plan.changes[index] = change
    before, after = change.before.data if change.before else {}, change.after.data
    for name in change.changed:
        field = scope.pipeline.fields.get(name)
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
        if field.type == "file":
            held = related_ids(before.get(name))
            brought = [(name, UUID(file)) for file in related_ids(after.get(name)) if file not in held]
            plan.files.setdefault(index, []).extend(brought)
        if field.type == "relation":
            old_ids, new_ids = related_ids(before.get(name)), related_ids(after.get(name))
            plan.removed += [(change.after.id, name, UUID(gone)) for gone in old_ids if gone not in new_ids]
            added = [field_edge(change.after, field, new) for new in new_ids if new not in old_ids]
            plan.added.setdefault(index, []).extend(added)

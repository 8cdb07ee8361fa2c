"""Plan what a definition shall become, apply it, and go back."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from libs.common import clock
from libs.common.bus import Bus
from libs.common.errors import Fault, Gone, Invalid, NotFound, StaleVersion
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.pipelines.domain import planning
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.definitions import MAX_FAULTS, Placed
from services.pipelines.domain.evolution import Move, Pending, Step, hidden, removed
from services.pipelines.domain.pipelines import Pipeline
from services.pipelines.domain.schemas import PLAN_SECONDS, Difference, Plan, Version, between, check_fit
from services.pipelines.storage import pipelines as storage
from services.pipelines.storage import schemas
from services.pipelines.usecases import computed, evolve, foresight, pipelines, relations, renames, views


async def plan(database: Database, bus: Bus, caller: Caller, pipeline_id: UUID, wanted: planning.Wanted) -> Plan:
    """What would change, and how many records would not fit; it holds for an hour, and for this definition only."""
    caller.require("update", pipeline_id)
    found = await pipelines.get(database, caller, pipeline_id)
    step, faults = planning.read(found, wanted)
    planning.check(found, step, faults)
    step = await _computed(database, caller, found, step, wanted)
    changes = await foresight.foresee(bus, caller, found, step)
    until = clock.now() + timedelta(seconds=PLAN_SECONDS)
    made = Plan(new_id(), found.version, step, changes, until)
    async with database.tenant(caller.tenant) as connection:
        await schemas.insert_plan(connection, caller.tenant, pipeline_id, made, caller.id)
    return made


async def _computed(database: Database, caller: Caller, found: Pipeline, step: Step, wanted: planning.Wanted) -> Step:
    """The way with what follows for computed fields."""
    names = [value.get("name") for value in wanted.fields]
    given: list[Placed] = [
        (f"/fields/{names.index(it.name)}", it) for it in step.fields if it.name in names and it not in found.fields
    ]
    if faults := await _unrelated(database, caller, found, step, given):
        raise Invalid("The definition would not be valid", errors=faults[:MAX_FAULTS])
    async with database.tenant(caller.tenant) as connection:
        named = _names(found, step)
        new, faults = await computed.settled(connection, caller, planning.renamed(found, step), given, named)
        if faults:
            raise Invalid("The definition would not be valid", errors=faults[:MAX_FAULTS])
        await computed.check_types(connection, caller, found, new, named)
    return replace(step, fields=new.fields)


class _Tried(Exception):
    """Takes back what was only tried."""


async def _unrelated(
    database: Database, caller: Caller, found: Pipeline, step: Step, given: list[Placed]
) -> list[Fault]:
    """What relation fields cannot be joined to; types of relationships are not made before the plan is applied."""
    faults: list[Fault] = []
    with suppress(_Tried):
        async with database.tenant(caller.tenant) as connection:
            names = {field.name for field in step.fields}
            faults = await relations.link(connection, caller, found.id, given, names)
            raise _Tried
    return faults


async def apply(
    database: Database, caller: Caller, pipeline_id: UUID, plan_id: UUID, *, force: bool
) -> tuple[Pipeline, Pending]:
    """The pipeline as it was planned, and what is left to a job of records."""
    caller.require("update", pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        known = await schemas.get_plan(connection, caller.tenant, pipeline_id, plan_id)
        if known is not None and known.step.renames:
            await renames.lock(connection, caller, pipeline_id)
        old = await pipelines.locked(connection, caller, pipeline_id, None)
        known = await schemas.get_plan(connection, caller.tenant, pipeline_id, plan_id)
        if known is None:
            raise NotFound("There is no such plan; it may have been applied")
        if known.expires_at < clock.now():
            raise Gone("The plan is too old; make another", code="plan-expired")
        if known.version != old.version:
            raise StaleVersion(
                "The definition has changed since it was planned", code="plan-stale", extra={"version": old.version}
            )
        if not force:
            check_fit(known.changes)
        await schemas.delete_plan(connection, caller.tenant, plan_id)
        return await _take(connection, caller, old, known.step)


async def rollback(
    database: Database, bus: Bus, caller: Caller, pipeline_id: UUID, version: int, *, force: bool
) -> tuple[Pipeline, Pending]:
    """The pipeline with the fields that it had, and what they held: from the trash, or converted back."""
    caller.require("update", pipeline_id)
    found = await pipelines.get(database, caller, pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        step, stashes, rules, title = await _way_back(connection, caller, found, version)
    changes = await foresight.foresee(bus, caller, found, step)
    if not force:
        check_fit(changes)
    async with database.tenant(caller.tenant) as connection:
        if step.renames:
            await renames.lock(connection, caller, pipeline_id)
        old = await pipelines.locked(connection, caller, pipeline_id, {found.version})
        return await _take(connection, caller, replace(old, rules=rules, title_template=title), step, stashes)


async def versions(database: Database, caller: Caller, pipeline_id: UUID, before: int, limit: int) -> list[Version]:
    """Up to one more than the limit of a pipeline's definitions, the last first."""
    await pipelines.get(database, caller, pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        return await schemas.versions(connection, caller.tenant, pipeline_id, before, limit + 1)


async def count_versions(database: Database, caller: Caller, pipeline_id: UUID) -> int:
    """How many definitions a pipeline has had."""
    await pipelines.get(database, caller, pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        return await schemas.count_versions(connection, caller.tenant, pipeline_id)


async def version(
    database: Database, caller: Caller, pipeline_id: UUID, number: int, since: int | None = None
) -> tuple[Version, Difference | None]:
    """A definition as it was, and what makes it of an earlier one, where that is asked for."""
    await pipelines.get(database, caller, pipeline_id)
    async with database.tenant(caller.tenant) as connection:
        found = await schemas.version(connection, caller.tenant, pipeline_id, number)
        if found is None:
            raise NotFound("There is no such version")
        if since is None:
            return found, None
        earlier = await schemas.version(connection, caller.tenant, pipeline_id, since)
        if earlier is None or since >= number:
            raise Invalid(errors=[Fault("/since", "unknown_version", "An earlier version is expected")])
        asked = await schemas.asked_since(connection, caller.tenant, pipeline_id, since)
    return found, between(earlier, found, asked)


async def _take(
    connection: Connection, caller: Caller, old: Pipeline, step: Step, stashes: tuple[Move, ...] = ()
) -> tuple[Pipeline, Pending]:
    new = planning.renamed(old, step)
    before = {field.name: field for field in old.fields}
    fresh: list[Placed] = [
        (f"/fields/{i}", field) for i, field in enumerate(step.fields) if before.get(field.name) != field
    ]
    named = _names(old, step)
    new = await pipelines.check(connection, caller, new, fresh, [], named)
    await computed.check_types(connection, caller, old, new, named)
    step = replace(step, fields=new.fields)
    if step.renames:
        await views.rename(connection, caller, old.id, step.renames)
    new, asked = await evolve.follow(connection, caller, old, new, step, stashes=stashes, always=True)
    assert asked is not None
    leading = await storage.leading(connection, caller.tenant, old.id) if step.renames else ()
    written = await pipelines.write(connection, caller, "updated", new, leading)
    if step.renames:
        await renames.follow(connection, caller, old.id, step.renames)
    return written, asked


def _names(old: Pipeline, step: Step) -> computed.Names:
    return computed.Names(step.renames, frozenset(field.name for field in removed(old.fields, step)))


async def _way_back(
    connection: Connection, caller: Caller, pipeline: Pipeline, number: int
) -> tuple[Step, tuple[Move, ...], Any, str | None]:
    target = await schemas.version(connection, caller.tenant, pipeline.id, number)
    if target is None or number > pipeline.version:
        raise NotFound("There is no such version")
    since = await schemas.asked_since(connection, caller.tenant, pipeline.id, number)
    called, stashes = {field.name: field.name for field in target.fields}, dict[str, list[str]]()
    for asked in since:
        called = {then: asked.renames.get(now, now) for then, now in called.items()}
        for name in asked.converts:
            stashes.setdefault(name, []).append(hidden(name, asked.version))
    now = {field.name for field in pipeline.fields}
    named = {name: then for then, name in called.items() if name != then and name in now}
    there = {then for then, name in called.items() if name in now}
    trash = await schemas.trash(connection, caller.tenant, pipeline.id)
    restores: dict[str, str] = {}
    for field in target.fields:
        gone = next((it for it in trash if it.field.name == called[field.name]), None)
        if field.name not in there and gone is not None and gone.version > number:
            restores[gone.key] = field.name
    back = tuple(
        Move(key, then) for then, name in called.items() if name in now for key in reversed(stashes.get(name, []))
    )
    fields = await renames.caught_up(connection, caller, pipeline.id, target.fields)
    step = Step(fields=fields, renames=named, restores=restores)
    planning.check_way(pipeline, step)
    return step, back, target.rules, target.title_template

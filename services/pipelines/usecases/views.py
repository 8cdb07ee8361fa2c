import asyncio
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from libs.common import clock, outbox
from libs.common.bus import Bus
from libs.common.errors import Conflict, NotFound
from libs.common.events import NewEvent, encode
from libs.common.postgres import Connection, Database
from libs.common.transactions import after_commit
from services.pipelines.domain.caller import Caller
from services.pipelines.domain.pipelines import Pipeline, check_version
from services.pipelines.domain.views import (
    MAX_VIEWS,
    View,
    ViewAnnouncement,
    announcement,
    check_change,
    check_fit,
    renamed,
    seen,
)
from services.pipelines.storage import pipelines
from services.pipelines.storage import views as storage

HINTS = "hint.pipelines.view"
"""Where a changed view is told of before whoever changed it is answered; the same comes by the stream."""

Versions = Collection[int] | None


async def create(database: Database, caller: Caller, view: View) -> View:
    """Makes a view; a shared one takes the right to change the pipeline."""
    async with database.tenant(caller.tenant) as connection:
        pipeline = await _pipeline(connection, caller, view.pipeline_id)
        check_change(view, caller)
        return await make(connection, caller, pipeline, view)


async def make(connection: Connection, caller: Caller, pipeline: Pipeline, view: View) -> View:
    """The same within a transaction that does more."""
    check_fit(view, pipeline)
    if await storage.count(connection, caller.tenant, view.pipeline_id) >= MAX_VIEWS:
        raise Conflict(f"There are {MAX_VIEWS} views, as many as there may be", code="too-many")
    await storage.insert(connection, caller.tenant, view)
    await _announce(connection, caller, "created", view)
    return view


async def get(database: Database, caller: Caller, pipeline_id: UUID, view_id: UUID) -> View:
    """One view."""
    async with database.tenant(caller.tenant) as connection:
        await _pipeline(connection, caller, pipeline_id)
        return seen(await storage.get(connection, caller.tenant, view_id), caller, pipeline_id)


async def page(database: Database, caller: Caller, pipeline_id: UUID, after: UUID, limit: int) -> list[View]:
    """The shared views, and the caller's own."""
    async with database.tenant(caller.tenant) as connection:
        await _pipeline(connection, caller, pipeline_id)
        return await storage.page(connection, caller.tenant, pipeline_id, caller.id, after, limit)


async def change(
    database: Database, bus: Bus, caller: Caller, pipeline_id: UUID, view_id: UUID, given: dict[str, Any],
    expected: Versions,
) -> View:  # fmt: skip
    """Changes what is given of a view; who shares it must be allowed to."""
    async with database.tenant(caller.tenant) as connection:
        pipeline, old = await _locked(connection, caller, pipeline_id, view_id, expected)
        new = replace(old, **given)
        if new == old:
            return old
        if old.visibility == "shared" and new.visibility == "private":
            new = replace(new, owner_id=caller.id)
        check_change(new, caller)
        check_fit(new, pipeline)
        new = replace(new, version=old.version + 1, updated_at=clock.now(), updated_by=caller.id)
        await storage.update(connection, caller.tenant, new)
        await _announce(connection, caller, "updated", new)
    await _hint(bus, caller, "updated", new)
    return new


async def delete(
    database: Database, bus: Bus, caller: Caller, pipeline_id: UUID, view_id: UUID, expected: Versions
) -> None:
    """Takes a view away."""
    async with database.tenant(caller.tenant) as connection:
        _, old = await _locked(connection, caller, pipeline_id, view_id, expected)
        await storage.delete(connection, caller.tenant, view_id)
        gone = replace(old, version=old.version + 1)
        await _announce(connection, caller, "deleted", gone)
    await _hint(bus, caller, "deleted", gone)


async def rename(connection: Connection, caller: Caller, pipeline_id: UUID, renames: Mapping[str, str]) -> None:
    """Lets the views of a pipeline speak of fields by their new names."""
    for old in await storage.lock_all(connection, caller.tenant, pipeline_id):
        new = renamed(old, renames)
        if new != old:
            new = replace(new, version=old.version + 1, updated_at=clock.now(), updated_by=caller.id)
            await storage.update(connection, caller.tenant, new)
            await _announce(connection, caller, "updated", new)


async def known(database: Database, tenant_id: UUID, view_id: UUID) -> ViewAnnouncement:
    """What another service knows of a view."""
    async with database.tenant(tenant_id) as connection:
        found = await storage.get(connection, tenant_id, view_id)
    if found is None:
        raise NotFound
    return announcement(found)


async def _locked(
    connection: Connection, caller: Caller, pipeline_id: UUID, view_id: UUID, expected: Versions
) -> tuple[Pipeline, View]:
    pipeline = await _pipeline(connection, caller, pipeline_id)
    found = seen(await storage.lock(connection, caller.tenant, view_id), caller, pipeline_id)
    check_change(found, caller)
    check_version(found.version, expected)
    return pipeline, found


async def _pipeline(connection: Connection, caller: Caller, pipeline_id: UUID) -> Pipeline:
    caller.require("read", pipeline_id)
    found = await pipelines.get(connection, caller.tenant, pipeline_id)
    if found is None or found.deleted_at is not None:
        raise NotFound
    return found


async def _hint(bus: Bus, caller: Caller, verb: str, view: View) -> None:
    """Has other processes know before this is answered: the next list is by what the view says now."""
    payload = encode(caller.tenant, _event(verb, view))[2].encode()
    told: list[asyncio.Task[None]] = []
    after_commit(lambda: told.append(asyncio.create_task(bus.hint(HINTS, [payload]))))
    await asyncio.gather(*told)


async def _announce(connection: Connection, caller: Caller, verb: str, view: View) -> None:
    await outbox.record(connection, caller.tenant, [_event(verb, view)])


def _event(verb: str, view: View) -> NewEvent:
    return NewEvent(f"pipelines.view.{verb}", view.id, announcement(view, deleted=verb == "deleted"))

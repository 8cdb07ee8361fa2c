"""Lets go of records for good: of those that were long enough in the trash, and of what still mentions those gone.

Deleting a record for good takes its own rows at once. Other records may have held it once, and their history tells of
that: a tombstone stays until a process has been through the history of all that could, in bounded steps, each of them a
transaction that notes how far it has come. Both run in any process; what breaks off is taken up by another.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import structlog

from libs.common.errors import AppError, Conflict, NotFound
from libs.common.identity import Principal
from libs.common.ids import NIL
from libs.common.permissions import Grant, Permissions
from libs.common.postgres import Connection, Database
from libs.common.resilience import end, keep_running
from services.records.domain.forgetting import pattern_of, without_ids
from services.records.storage import evolutions, forgetting
from services.records.storage.forgetting import Tombstone
from services.records.usecases import trash
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog

POLL_SECONDS = 2.0
RECORDS_AT_ONCE = 1000
PURGED_AT_ONCE = 100
ROUNDS = 200
"""So many batches of a tenant's trash go before others have their turn."""
NOBODY = "Trash retention"

log = structlog.get_logger()


class Place(msgspec.Struct, frozen=True):
    """How far a search for mentions has come: through which pipeline, and of its records to which."""

    pipeline_id: UUID = NIL
    after: UUID = NIL
    trashed: bool = False


class Forgetter:
    """Works in the background."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(keep_running("forgetting", self._work))

    async def stop(self) -> None:
        """Ends; what is under way is rolled back to its last step."""
        if self._task is not None:
            await end([self._task])

    async def _work(self) -> None:
        while True:
            while await self.forget():
                pass
            for tenant_id in await forgetting.sweep(self._database):
                await self.empty(tenant_id)
            await asyncio.sleep(POLL_SECONDS)

    async def empty(self, tenant_id: UUID) -> int:
        """Deletes for good what was in a tenant's trash for too long; how many records went."""
        pipelines: set[UUID] = set()
        held: set[UUID] = set()
        gone = 0
        for _ in range(ROUNDS):
            async with self._database.tenant(tenant_id) as connection:
                due = await forgetting.overdue(connection, tenant_id, pipelines, held, PURGED_AT_ONCE)
            if not due:
                break
            by_pipeline: dict[UUID, list[UUID]] = defaultdict(list)
            for place in due:
                by_pipeline[place.pipeline_id].append(place.id)
            for pipeline_id, ids in by_pipeline.items():
                gone += await self._purge(self._nobody(tenant_id), pipeline_id, ids, pipelines, held)
        return gone

    async def _purge(
        self, caller: Caller, pipeline_id: UUID, ids: Sequence[UUID], pipelines: set[UUID], held: set[UUID]
    ) -> int:
        try:
            return await trash.purge_trashed(caller, pipeline_id, ids)
        except NotFound:
            pipelines.add(pipeline_id)
        except Conflict:
            if len(ids) == 1:
                held.update(ids)
            else:
                return sum([await self._purge(caller, pipeline_id, [one], pipelines, held) for one in ids])
        except AppError as error:
            await log.awarning("trash is not emptied", pipeline=str(pipeline_id), error=repr(error))
            pipelines.add(pipeline_id)
        return 0

    def _nobody(self, tenant_id: UUID) -> Caller:
        principal = Principal(
            tenant_id=tenant_id, id=NIL, kind="user", session_id=NIL, name=NOBODY, roles=(), issued_at=0, expires_at=0
        )
        permissions = Permissions([Grant("records", ("read", "update", "delete"))])
        return Caller(principal, permissions, self._catalog, self._database)

    async def forget(self) -> bool:
        """Looks for all that mentions some records that are gone; whether there were such records."""
        it = await forgetting.claim(self._database)
        if it is None:
            return False
        place = Place() if it.place is None else msgspec.json.decode(it.place, type=Place)
        if it.place is None:
            it = await self._begin(it)
        pattern, gone = pattern_of(it.record_ids), frozenset(str(one) for one in it.record_ids)
        following: Place | None = place
        while following is not None:
            async with self._database.tenant(it.tenant_id) as connection:
                following = await _step(connection, it, following, pattern, gone)
                await (forgetting.done(connection, it) if following is None else _note(connection, it, following))
        return True

    async def _begin(self, it: Tombstone) -> Tombstone:
        async with self._database.tenant(it.tenant_id) as connection:
            it = await forgetting.join(connection, it)
            await forgetting.forget_merges(connection, it, pattern_of(it.record_ids))
        after: forgetting.Answered | None = NIL, b""
        while after is not None:
            async with self._database.tenant(it.tenant_id) as connection:
                after = await forgetting.forget_answers(connection, it, after)
        return it


async def _note(connection: Connection, it: Tombstone, place: Place) -> None:
    await forgetting.come_to(connection, it, place)


async def _step(
    connection: Connection, it: Tombstone, place: Place, pattern: str, gone: frozenset[str]
) -> Place | None:
    """Goes through some records; where to go on."""
    if place.after == NIL and not place.trashed:
        pipeline_id = await forgetting.next_holder(connection, it, place.pipeline_id)
        if pipeline_id is None:
            return None
        place = Place(pipeline_id)
    ids = await evolutions.following(
        connection, it.tenant_id, place.pipeline_id, place.after, RECORDS_AT_ONCE, trashed=place.trashed
    )
    if ids:
        await _rewrite(connection, it.tenant_id, ids, pattern, gone)
    if len(ids) == RECORDS_AT_ONCE:
        return Place(place.pipeline_id, ids[-1], place.trashed)
    return Place(place.pipeline_id) if place.trashed else Place(place.pipeline_id, trashed=True)


async def _rewrite(
    connection: Connection, tenant_id: UUID, ids: Sequence[UUID], pattern: str, gone: frozenset[str]
) -> None:
    lines = await forgetting.lines(connection, tenant_id, ids, pattern)
    new = [msgspec.structs.replace(line, changes=_without(line.changes, gone)) for line in lines]
    await forgetting.rewrite_lines(connection, tenant_id, new)
    for kept in await forgetting.kept_values(connection, tenant_id, ids, pattern):
        changed = msgspec.structs.replace(kept, value=_without(kept.value, gone))
        await forgetting.rewrite_value(connection, tenant_id, changed)


def _without(text: str, gone: frozenset[str]) -> str:
    value: Any = msgspec.json.decode(text)
    return msgspec.json.encode(without_ids(value, gone)).decode()

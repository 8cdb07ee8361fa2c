"""The end of a tenant: asked for, taken back within the time of grace, then done in all services, and told.

While it waits nobody is let in but those who may take it back. Once it is due every service is told, again each day
until all have reported that nothing is left; then auth lets go of its own rows, and the slug is free.
"""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.bus import Bus, Consumer
from libs.common.errors import Conflict, NotFound
from libs.common.events import Event
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.postgres import Connection, Database
from libs.common.purge import Purged, Purger
from libs.common.resilience import end, keep_running, woken
from services.auth.domain import events
from services.auth.domain.audit import Party, of_principal
from services.auth.domain.organizations import Organization
from services.auth.domain.sessions import Client
from services.auth.storage import deletions, organizations
from services.auth.usecases import freshness, notices
from services.auth.usecases.context import Context
from services.auth.usecases.freshness import Proof
from services.auth.usecases.organizations import resolve

OTHERS = ("pipelines", "records", "realtime")
POLL_SECONDS = 1.0


class Progress(msgspec.Struct, frozen=True):
    """How far the end of a tenant is: `waiting` for its time, `purging` until none is `missing`, or `done`."""

    id: UUID
    slug: str
    state: str
    due_at: datetime
    finished_at: datetime | None
    reports: dict[str, dict[str, int]]
    missing: tuple[str, ...]


async def request(
    context: Context, principal: Principal, permissions: Permissions, proof: Proof, client: Client
) -> Organization:
    """The principal's organization ends when the time of grace is over."""
    permissions.require("delete", "organization")
    await freshness.require(context, principal, proof, client)
    return await _order(context, principal.tenant_id, context.deletion_grace, of_principal(principal))


async def order(context: Context, slug: str, grace: timedelta | None) -> Organization:
    """A tenant ends after a time, as an operator says."""
    tenant_id = (await resolve(context, slug=slug)).id
    return await _order(context, tenant_id, context.deletion_grace if grace is None else grace, None)


async def restore(context: Context, principal: Principal, permissions: Permissions) -> Organization:
    """Takes it back, while there is time."""
    permissions.require("delete", "organization")
    return await _recall(context, principal.tenant_id, of_principal(principal))


async def recall(context: Context, slug: str) -> Organization:
    """Takes it back, as an operator says."""
    return await _recall(context, (await resolve(context, slug=slug)).id, None)


async def progress(context: Context, name: str) -> Progress:
    """How far the end of the tenant of a slug or id is."""
    async with context.database.system() as connection:
        it = await deletions.newest(connection, name)
    if it is None:
        raise NotFound("There is no such deletion", code="deletion-not-found")
    reports = msgspec.json.decode(it.reports, type=dict[str, dict[str, int]])
    state = "done" if it.finished_at else "purging" if it.announced_at else "waiting"
    missing = tuple(service for service in (*OTHERS, "auth") if service not in reports)
    return Progress(it.id, it.slug, state, it.due_at, it.finished_at, reports, missing)


async def _order(context: Context, tenant_id: UUID, grace: timedelta, by: Party | None) -> Organization:
    now = clock.now()
    async with context.database.tenant(tenant_id) as connection:
        before = await _locked(connection, tenant_id)
        if before.status not in ("active", "suspended"):
            raise Conflict("The organization is being deleted already", code="deleting")
        await deletions.insert(connection, tenant_id, before.slug, before.status, now, now + grace)
        after = msgspec.structs.replace(before, status="deleting", updated_at=now, deletes_at=now + grace)
        await _write(context, connection, after, "deletion_requested", by)
        await notices.to_owners(context, connection, after, "organization_deletion")
    context.post.wake()
    return after


async def _recall(context: Context, tenant_id: UUID, by: Party | None) -> Organization:
    async with context.database.tenant(tenant_id) as connection:
        resumes = await deletions.recall(connection, tenant_id)
        if resumes is None:
            raise Conflict("The organization is not being deleted, or it is too late", code="not-deleting")
        before = await _locked(connection, tenant_id)
        after = msgspec.structs.replace(before, status=resumes, updated_at=clock.now(), deletes_at=None)
        await _write(context, connection, after, "restored", by)
    return after


async def _write(context: Context, connection: Connection, after: Organization, verb: str, by: Party | None) -> None:
    await organizations.update(connection, after)
    await outbox.record(connection, after.id, [events.tenant("updated", after)])
    target = Party("organization", after.id, after.name)
    details = {"deletes_at": clock.rfc3339(after.deletes_at)} if after.deletes_at else {}
    await context.audit.note(connection, after.id, f"organization.{verb}", by, target, details=details)


async def _locked(connection: Connection, tenant_id: UUID) -> Organization:
    await organizations.lock(connection, tenant_id)
    found = await organizations.get(connection, tenant_id)
    if found is None:
        raise NotFound("There is no such organization", code="tenant-not-found")
    return found


class Undertaker:
    """Sees each deletion through, in whichever process comes first."""

    def __init__(self, database: Database, purger: Purger) -> None:
        self._database = database
        self._purger = purger
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        purger.last = self._forget

    def follow(self, bus: Bus) -> None:
        """Begins to collect what services report."""
        consumer = Consumer("auth-purges", "evt.*.*.tenant.purged", Purged, self._reported, noted=False)
        bus.consume(consumer, self._database)

    async def start(self) -> None:
        """Begins."""
        self._loops.append(asyncio.create_task(keep_running("deletions", self._work)))

    async def stop(self) -> None:
        """Ends; the next process goes on."""
        await end(self._loops)

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            await self._round()
            await woken(self._wake, POLL_SECONDS)

    async def _round(self) -> None:
        async with self._database.system() as connection:
            found = await deletions.open_ones(connection, OTHERS)
        for it in found:
            async with self._database.tenant(it.id) as connection:
                if await deletions.lock(connection, it.id):
                    await (self._begin if it.reported else self._announce)(connection, it.id)

    async def _announce(self, connection: Connection, tenant_id: UUID) -> None:
        before = await _locked(connection, tenant_id)
        gone = msgspec.structs.replace(before, status="purging", updated_at=clock.now())
        await organizations.update(connection, gone)
        await deletions.announced(connection, tenant_id)
        await outbox.record(connection, tenant_id, [events.tenant("deleted", gone)])

    async def _begin(self, connection: Connection, tenant_id: UUID) -> None:
        if not await deletions.begun(connection, tenant_id):
            await self._purger.begin(connection, tenant_id)

    async def _reported(self, connection: Connection, event: Event[Purged]) -> None:
        service = event.type.partition(".")[0]
        if service in OTHERS:
            await deletions.report(connection, event.tenant_id, service, event.data.counts)
            self._wake.set()

    async def _forget(self, connection: Connection, tenant_id: UUID) -> bool:
        await deletions.finish(connection, tenant_id)
        return False

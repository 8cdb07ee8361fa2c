"""The audit log: written in the transaction of what it tells of, read by who manages the organization, checked."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import msgspec
from prometheus_client import CollectorRegistry, Counter

from libs.common import clock
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.postgres import Connection, Database
from services.auth.domain import audit as rules
from services.auth.domain.audit import Entry, Filters, Kept, Party
from services.auth.domain.sealing import Seal
from services.auth.storage import audit

NEWEST = 2**63 - 1
BATCH = 500


class Checked(msgspec.Struct, frozen=True):
    """How far the chain was checked, the hash there, and whether that is its end; `broken_at` names a bad entry."""

    seq: int
    hash: str
    end: bool
    broken_at: int | None = None


class Auditor:
    """Writes and reads the log, and counts what is written: sign-ins, and all that people do to an organization."""

    def __init__(self, database: Database, seal: Seal, registry: CollectorRegistry | None = None) -> None:
        self._database = database
        self._seal = seal
        self._noted = Counter("audited_total", "Entries of the audit logs", ("action",), registry=registry)

    async def note(
        self,
        connection: Connection,
        tenant_id: UUID,
        action: str,
        by: Party | None,
        target: Party | None = None,
        *,
        address: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """An entry, within the transaction that it tells of; best as its last act, as other writers wait for it."""
        seq, before = await audit.next_number(connection, tenant_id)
        now = clock.now()
        entry = Entry(seq, clock.rfc3339(now), action, by, target, address, dict(details or {}))
        await audit.append(connection, tenant_id, rules.keep(self._seal, entry, now, before))
        self._noted.labels(action).inc()

    async def page(
        self, principal: Principal, permissions: Permissions, wanted: Filters, before: int, limit: int
    ) -> list[Kept]:
        """Entries below a number, newest first."""
        permissions.require("manage", "organization")
        async with self._database.tenant(principal.tenant_id) as connection:
            return await audit.page(connection, principal.tenant_id, before, wanted, limit)

    async def every(self, principal: Principal, permissions: Permissions, wanted: Filters) -> AsyncIterator[Kept]:
        """All that are wanted, newest first, a batch in memory at a time."""
        before = NEWEST
        while True:
            batch = await self.page(principal, permissions, wanted, before, BATCH)
            for kept in batch:
                yield kept
            if len(batch) < BATCH:
                return
            before = batch[-1].seq

    async def check(self, tenant_id: UUID, after: int, before: bytes, until: int | None = None) -> Checked:
        """Checks a stretch of the chain, from the entry after a number whose hash is known, up to a number."""
        limit = BATCH if until is None else max(1, min(BATCH, until - after))
        async with self._database.tenant(tenant_id) as connection:
            stretch = await audit.chain(connection, tenant_id, after, limit)
            newest, newest_hash = await audit.head(connection, tenant_id)
        seq, last = after, before
        for kept in stretch:
            if not rules.is_sound(self._seal, kept, seq + 1, last):
                return Checked(seq, last.hex(), False, seq + 1)
            seq, last = kept.seq, kept.hash
        if len(stretch) == limit:
            return Checked(seq, last.hex(), False)
        sound = (seq, last) == (newest, newest_hash)
        return Checked(seq, last.hex(), True, None if sound else seq + 1)

"""The audit log: written in the transaction of what it tells of, read by who manages the organization, checked."""

import secrets
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
from services.auth.usecases.older_keys import OlderKeys

NEWEST = 2**63 - 1
BATCH = 500
SALT_BYTES = 32
REMEMBERED = 10_000


class Checked(msgspec.Struct, frozen=True):
    """How far the chain was checked, the hash there, and whether that is its end; `broken_at` names a bad entry."""

    seq: int
    hash: str
    end: bool
    broken_at: int | None = None


class Auditor:
    """Writes and reads the log, and counts what is written: sign-ins, and all that people do to an organization."""

    def __init__(
        self, database: Database, seal: Seal, older: OlderKeys, registry: CollectorRegistry | None = None
    ) -> None:
        self._database = database
        self._older = older
        self._seal = seal
        self._known: dict[tuple[UUID, UUID], bytes] = {}
        self._heads: dict[UUID, tuple[int, bytes]] = {}
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
        plain = Entry(0, "", action, by, target, address, dict(details or {}))
        concealed = rules.conceal(self._seal, plain, await self._salts(connection, tenant_id, plain))
        if not await self._append_at_once(connection, tenant_id, concealed):
            seq, before = await audit.next_number(connection, tenant_id)
            kept = self._bind(concealed, seq, before)
            await audit.append(connection, tenant_id, kept)
            self._remember(tenant_id, kept)
        self._noted.labels(action).inc()

    async def _append_at_once(self, connection: Connection, tenant_id: UUID, entry: Entry) -> bool:
        """In one round trip, where nobody else wrote since this process did, or what it wrote was rolled back."""
        if tenant_id not in self._heads:
            return False
        seq, before = self._heads.pop(tenant_id)
        kept = self._bind(entry, seq + 1, before)
        appended = await audit.append_after(connection, tenant_id, kept, before)
        if appended:
            self._remember(tenant_id, kept)
        return appended

    def _bind(self, entry: Entry, seq: int, before: bytes) -> Kept:
        now = clock.now()
        return rules.keep(self._seal, msgspec.structs.replace(entry, seq=seq, at=clock.rfc3339(now)), now, before)

    def _remember(self, tenant_id: UUID, kept: Kept) -> None:
        if len(self._heads) >= REMEMBERED:
            self._heads.clear()
        self._heads[tenant_id] = (kept.seq, kept.hash)

    async def page(
        self, principal: Principal, permissions: Permissions, wanted: Filters, before: int, limit: int
    ) -> list[Kept]:
        """Entries below a number, newest first."""
        permissions.require("manage", "organization")
        async with self._database.tenant(principal.tenant_id) as connection:
            found = await audit.page(connection, principal.tenant_id, before, wanted, limit)
            return await self.revealed(connection, principal.tenant_id, found)

    async def count(self, principal: Principal, permissions: Permissions, wanted: Filters) -> int:
        """How many entries there are of those that are wanted."""
        permissions.require("manage", "organization")
        async with self._database.tenant(principal.tenant_id) as connection:
            return await audit.count(connection, principal.tenant_id, wanted)

    async def revealed(self, connection: Connection, tenant_id: UUID, found: list[Kept]) -> list[Kept]:
        """Entries to be read by people: names in clear, but for those who were erased."""
        entries = [msgspec.json.decode(kept.document, type=Entry) for kept in found]
        people = set().union(*(rules.persons(entry) for entry in entries))
        salts = await audit.known_salts(connection, tenant_id, people)
        await self._older.learn(connection)
        return [
            msgspec.structs.replace(kept, document=msgspec.json.encode(rules.reveal(self._seal, it, salts)).decode())
            for kept, it in zip(found, entries, strict=True)
        ]

    async def erase(self, connection: Connection, tenant_id: UUID, person_id: UUID) -> None:
        """Takes a person's names out of what can be read, for good."""
        await audit.erase_salt(connection, tenant_id, person_id)

    async def _salts(self, connection: Connection, tenant_id: UUID, entry: Entry) -> rules.Salts:
        people = rules.persons(entry)
        if all((tenant_id, person) in self._known for person in people):
            return {person: self._known[tenant_id, person] for person in people}
        offered = {person: secrets.token_bytes(SALT_BYTES) for person in people}
        found = await audit.salts(connection, tenant_id, offered)
        if len(self._known) > REMEMBERED:
            self._known.clear()
        for person, (salt, made) in found.items():
            if salt is not None and not made:
                self._known[tenant_id, person] = salt
        return {person: salt for person, (salt, _) in found.items()}

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
            await self._older.learn(connection)
        seq, last = after, before
        for kept in stretch:
            if not rules.is_sound(self._seal, kept, seq + 1, last):
                return Checked(seq, last.hex(), False, seq + 1)
            seq, last = kept.seq, kept.hash
        if len(stretch) == limit:
            return Checked(seq, last.hex(), False)
        sound = (seq, last) == (newest, newest_hash)
        return Checked(seq, last.hex(), True, None if sound else seq + 1)

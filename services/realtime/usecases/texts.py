"""The texts of shared documents and the fields they are of: each learns of the other.

A document that was edited is due soon after. Whichever process claims it writes its text through records, in the name
of its last editor, numbered by its last update; records takes a number once and none that is older. So it is done after
any crash, and twice in vain at most. Changes that were made to the field by other ways are brought into the document as
edits of the text that they were made to, so that both stay.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog

from libs.common.bus import Bus
from libs.common.errors import AppError, Forbidden, Invalid, Unavailable
from libs.common.postgres import Connection, Database
from libs.common.resilience import keep_running
from services.realtime.domain import documents as rules
from services.realtime.domain.changes import Change
from services.realtime.storage import documents
from services.realtime.storage.documents import Key, Stored
from services.realtime.usecases import records
from services.realtime.usecases.following import Happened
from services.realtime.usecases.rooms import Bounds
from services.realtime.usecases.words import Word, tell

RELAY = "millrace_realtime_relay"
POLL_SECONDS = 0.5
AT_ONCE = 8
LEASE_SECONDS = 30.0
AWAY_SECONDS = 1.0
REFUSED_SECONDS = 60.0
TRASHED_SECONDS = 3600.0
COMPACT_UPDATES = 100
OPERATION = "document:"
"""What the ids of records' operations that write a document's text begin with."""
log = structlog.get_logger()


class Texts:
    """Writes what is due, and brings in what others wrote."""

    def __init__(self, bus: Bus, database: Database, bounds: Bounds) -> None:
        self._bus = bus
        self._database = database
        self._bounds = bounds

    async def run(self) -> None:
        """Writes texts for ever."""
        await keep_running("texts of documents", self._work, cap=5.0)

    async def _work(self) -> None:
        while True:
            async with self._database.relay(RELAY) as connection:
                due = await documents.claim(connection, AT_ONCE, LEASE_SECONDS)
            await asyncio.gather(*(self._attempt(key) for key in due))
            if len(due) < AT_ONCE:
                await asyncio.sleep(POLL_SECONDS)

    async def _attempt(self, key: Key) -> None:
        try:
            await self.write(key)
        except Unavailable as error:
            await log.awarning("a document's text waits", record=str(key.record_id), error=error.code)
            await self._postpone(key, AWAY_SECONDS)
        except (Forbidden, Invalid) as error:
            await log.awarning("a document's text is refused", record=str(key.record_id), error=error.code)
            async with self._database.tenant(key.tenant_id) as connection:
                await documents.rest(connection, key)
        except AppError as error:
            await log.awarning("a document's text waits", record=str(key.record_id), error=error.code)
            await self._postpone(key, error.retry_after or REFUSED_SECONDS)

    async def write(self, key: Key) -> None:
        """Writes a document's text into its field; raises what records raises."""
        async with self._database.tenant(key.tenant_id) as connection:
            stored = await documents.get(connection, key, hold=True)
            updates = await documents.updates(connection, key, stored.compacted) if stored else []
        if stored is None:
            return
        by = stored.by()
        if by is None or stored.last <= stored.written:
            return await self._settle(key, stored.last)
        data = [stored.snapshot, *(one.data for one in updates)]
        text = await asyncio.to_thread(_text, data)
        asked = records.DocumentText(key.tenant_id, by, key.record_id, key.field, stored.last, text)
        state = await records.write_document(self._bus, asked)
        if state == "gone":
            async with self._database.tenant(key.tenant_id) as connection:
                await documents.remove(connection, key)
        elif state == "trashed":
            await self._postpone(key, TRASHED_SECONDS)
        else:
            await self._settle(key, stored.last)

    async def _settle(self, key: Key, seq: int) -> None:
        async with self._database.tenant(key.tenant_id) as connection:
            await documents.note_written(connection, key, seq)
            stored = await documents.get(connection, key, hold=True)
            if stored is not None and min(stored.written, stored.base) - stored.compacted >= COMPACT_UPDATES:
                await _compact(connection, key, stored)

    async def _postpone(self, key: Key, seconds: float) -> None:
        async with self._database.tenant(key.tenant_id) as connection:
            await documents.postpone(connection, key, seconds)

    async def take(self, tenant_id: UUID, batch: Sequence[Happened]) -> None:
        """Brings changes of fields by other ways into their documents, and looks after those of deleted records."""
        changes = [one.change for one in batch if one.change.changed or one.change.verb in ("deleted", "restored")]
        if not changes:
            return
        async with self._database.tenant(tenant_id) as connection:
            found = await documents.of_records(connection, tenant_id, {one.head.id for one in changes})
            if not found:
                return
            moved = {one.head.id for one in changes if one.verb in ("deleted", "restored")}
            await documents.wake(connection, tenant_id, moved & {one.record_id for one in found})
        for named in found:
            key = Key(tenant_id, named.record_id, named.field)
            for change in changes:
                if change.head.id == named.record_id and change.seq > named.merged and named.field in change.changed:
                    await self._merge(key, change)

    async def _merge(self, key: Key, change: Change) -> None:
        own = (change.operation_id or "").removeprefix(f"{OPERATION}{key.field}:")
        brought: int | None = None
        async with self._database.tenant(key.tenant_id) as connection:
            stored = await documents.get(connection, key, hold=True)
            if stored is None or change.seq <= stored.merged:
                return
            if own != change.operation_id and own.isdecimal():
                await documents.note_written(connection, key, int(own))
                await documents.note_merged(connection, key, change.seq, int(own), None)
            else:
                brought = await self._bring(connection, key, stored, change)
        if brought is not None:
            await tell(self._bus, key, Word("", key.field, brought))

    async def _bring(self, connection: Connection, key: Key, stored: Stored, change: Change) -> int | None:
        """Brings another's change in as an edit of the text that it was made to; the number of that update."""
        updates = await documents.updates(connection, key, stored.compacted)
        branch = [stored.branch] if stored.branch else []
        then = [stored.snapshot, *(one.data for one in updates if one.seq <= stored.base), *branch]
        try:
            update = await asyncio.to_thread(rules.edit, then, _value(change, key.field))
        except Invalid as error:
            await log.awarning("a document takes nothing", record=str(key.record_id), error=error.code)
            update = None
        if update is None:
            await documents.note_merged(connection, key, change.seq, stored.base, stored.branch)
            return None
        bounds = self._bounds
        most = bounds.document_bytes * 2  # what is in the record already is not refused
        seq = await documents.append(connection, key, update, None, most, bounds.soon, bounds.latest)
        await documents.note_merged(connection, key, change.seq, stored.base, rules.join([*branch, update]))
        if seq is not None and stored.last == stored.written:
            await documents.note_written(connection, key, seq)
        return seq


async def _compact(connection: Connection, key: Key, stored: Stored) -> None:
    """Puts one state in the place of what is written, so that what comes from elsewhere finds the text as it was."""
    seq = min(stored.written, stored.base)
    updates = await documents.updates(connection, key, stored.compacted)
    data = [stored.snapshot, *(one.data for one in updates if one.seq <= seq)]
    await documents.compact(connection, key, seq, await asyncio.to_thread(rules.compact, data))


def _text(updates: list[bytes]) -> str:
    return rules.text_of(rules.build(updates))


def _value(change: Change, name: str) -> str:
    data = change.after["data"]
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""

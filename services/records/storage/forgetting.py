"""Records that are gone for good: what still speaks of them, and what is due to go."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.records.storage.records import Place

SQL = sql.load(__file__)
RELAY = "millrace_records_relay"
Answered = tuple[UUID, bytes]


class Tombstone(msgspec.Struct, frozen=True):
    """Records that are gone, and how far the search for what mentions them has come (JSON text)."""

    tenant_id: UUID
    id: UUID
    record_ids: list[UUID]
    pipeline_ids: list[UUID]
    place: str | None


class Line(msgspec.Struct, frozen=True):
    """A line of history; `changes` is JSON text."""

    record_id: UUID
    version: int
    changes: str


class Kept(msgspec.Struct, frozen=True):
    """What a removed field held; `value` is JSON text."""

    pipeline_id: UUID
    key: str
    record_id: UUID
    version: int
    value: str


async def bury(connection: Connection, tenant_id: UUID, gone: Collection[UUID], pipelines: Collection[UUID]) -> None:
    """Notes that rows may still mention records that are gone."""
    await connection.execute(SQL["bury"], tenant_id, new_id(), list(gone), list(pipelines))


async def claim(database: Database) -> Tombstone | None:
    """What is to be forgotten next, of whichever tenant."""
    async with database.relay(RELAY) as connection:
        row = await connection.fetchrow(SQL["claim"])
    return None if row is None else Tombstone(*row)


async def join(connection: Connection, it: Tombstone) -> Tombstone:
    """The same, with what else of the tenant was not begun."""
    row = await connection.fetchrow(SQL["join"], it.tenant_id, it.id)
    return it if row is None else Tombstone(it.tenant_id, it.id, sorted(set(row[0])), sorted(set(row[1])), it.place)


async def come_to(connection: Connection, it: Tombstone, place: Any) -> None:
    """Notes how far it has come."""
    await connection.execute(SQL["come_to"], it.tenant_id, it.id, msgspec.json.encode(place).decode())


async def done(connection: Connection, it: Tombstone) -> None:
    """All is forgotten."""
    await connection.execute(SQL["done"], it.tenant_id, it.id)


async def forget_merges(connection: Connection, it: Tombstone, pattern: str) -> None:
    """Forgets merges of the records."""
    await connection.execute(SQL["forget_merges"], it.tenant_id, it.record_ids, pattern)


async def forget_answers(connection: Connection, it: Tombstone, after: Answered) -> Answered | None:
    """Forgets kept answers that show the records, of the next thousand; the last of these."""
    texts = [str(record_id) for record_id in it.record_ids]
    row = await connection.fetchrow(SQL["forget_answers"], it.tenant_id, *after, texts)
    return None if row is None else (row[0], row[1])


async def next_holder(connection: Connection, it: Tombstone, after: UUID) -> UUID | None:
    """The next pipeline whose records may mention the records."""
    found: UUID | None = await connection.fetchval(SQL["holders"], it.tenant_id, it.pipeline_ids, after)
    return found


async def lines(connection: Connection, tenant_id: UUID, ids: Sequence[UUID], pattern: str) -> list[Line]:
    """Lines of the history of some records that match."""
    return [Line(*row) for row in await connection.fetch(SQL["lines"], tenant_id, ids, pattern)]


async def rewrite_lines(connection: Connection, tenant_id: UUID, new: Sequence[Line]) -> None:
    """Writes lines of history anew."""
    if new:
        columns = [line.record_id for line in new], [line.version for line in new], [line.changes for line in new]
        await connection.execute(SQL["rewrite_lines"], tenant_id, *columns)


async def kept_values(connection: Connection, tenant_id: UUID, ids: Sequence[UUID], pattern: str) -> list[Kept]:
    """What removed fields of some records held that matches."""
    return [Kept(*row) for row in await connection.fetch(SQL["kept_values"], tenant_id, ids, pattern)]


async def rewrite_value(connection: Connection, tenant_id: UUID, it: Kept) -> None:
    """Writes what a removed field held anew."""
    await connection.execute(
        SQL["rewrite_value"], tenant_id, it.pipeline_id, it.key, it.record_id, it.version, it.value
    )


async def sweep(database: Database) -> list[UUID]:
    """Tenants whose trash is to be looked through."""
    async with database.relay(RELAY) as connection:
        return [row[0] for row in await connection.fetch(SQL["sweep"])]


async def overdue(
    connection: Connection, tenant_id: UUID, pipelines: Collection[UUID], but: Collection[UUID], limit: int
) -> list[Place]:
    """Records that were in the trash for too long, but for those of some pipelines, and some others."""
    rows = await connection.fetch(SQL["overdue"], tenant_id, list(pipelines), list(but), limit)
    return [Place(row[0], row[1], deleted=True) for row in rows]

"""Shared documents and their updates."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.realtime.domain.documents import Editor

SQL = sql.load(__file__)


class Key(NamedTuple):
    """Which document."""

    tenant_id: UUID
    record_id: UUID
    field: str


class Stored(msgspec.Struct, frozen=True):
    """A document without its updates."""

    snapshot: bytes
    compacted: int
    last: int
    written: int
    size: int
    merged: int
    base: int
    branch: bytes | None
    editor: str | None

    def by(self) -> Editor | None:
        """Who edited it last."""
        return msgspec.json.decode(self.editor, type=Editor) if self.editor else None


class Update(msgspec.Struct, frozen=True):
    """One update."""

    seq: int
    data: bytes


class Due(msgspec.Struct, frozen=True):
    """A document with something to do."""

    tenant_id: UUID
    record_id: UUID
    field: str


class Named(msgspec.Struct, frozen=True):
    """A document of a record."""

    record_id: UUID
    field: str
    merged: int


async def create(connection: Connection, key: Key, pipeline_id: UUID, first: bytes, merged: int) -> None:
    """Makes a document, unless there is one."""
    await connection.execute(SQL["create"], *key, pipeline_id, first, merged)


async def get(connection: Connection, key: Key, *, hold: bool = False) -> Stored | None:
    """A document without its updates."""
    row = await connection.fetchrow(SQL["hold" if hold else "get"], *key)
    return None if row is None else Stored(*row)


async def updates(connection: Connection, key: Key, after: int) -> list[Update]:
    """The updates after one, in order."""
    return [Update(*row) for row in await connection.fetch(SQL["updates"], *key, after)]


async def last(connection: Connection, key: Key) -> int | None:
    """The number of the last update."""
    found: int | None = await connection.fetchval(SQL["last"], *key)
    return found


async def append(
    connection: Connection, key: Key, update: bytes, by: Editor | None, most: int, soon: float, latest: float
) -> int | None:
    """Adds an update, whose text is to be written after `soon` quiet seconds, `latest` at most; its number.

    None where the document would become too large, or is gone.
    """
    editor = msgspec.json.encode(by).decode() if by else None
    seq: int | None = await connection.fetchval(SQL["append"], *key, update, editor, most, soon, latest)
    return seq


async def note_merged(connection: Connection, key: Key, position: int, base: int, branch: bytes | None) -> None:
    """Notes the last change of the record that the document knows: the field was then as the document after `base`
    updates and `branch`.
    """
    await connection.execute(SQL["merged"], *key, position, base, branch)


async def note_written(connection: Connection, key: Key, seq: int) -> None:
    """Notes up to which update the text is in the record."""
    await connection.execute(SQL["written"], *key, seq)


async def compact(connection: Connection, key: Key, seq: int, snapshot: bytes) -> None:
    """Puts one state in the place of the updates up to one."""
    await connection.execute(SQL["compact"], *key, seq, snapshot)


async def claim(connection: Connection, most: int, lease: float) -> list[Key]:
    """Documents that have something to do, of any tenant, for a lease of so many seconds."""
    return [Key(*row) for row in await connection.fetch(SQL["claim"], most, lease)]


async def postpone(connection: Connection, key: Key, seconds: float) -> None:
    """Lets a document wait."""
    await connection.execute(SQL["postpone"], *key, seconds)


async def rest(connection: Connection, key: Key) -> None:
    """A document has nothing to do until it is edited again."""
    await connection.execute(SQL["rest"], *key)


async def wake(connection: Connection, tenant_id: UUID, record_ids: Collection[UUID]) -> None:
    """Lets the documents of records be looked at now."""
    await connection.execute(SQL["wake"], tenant_id, list(record_ids))


async def remove(connection: Connection, key: Key) -> None:
    """Takes a document away."""
    await connection.execute(SQL["remove"], *key)


async def of_records(connection: Connection, tenant_id: UUID, record_ids: Collection[UUID]) -> list[Named]:
    """The documents of records."""
    return [Named(*row) for row in await connection.fetch(SQL["of_records"], tenant_id, list(record_ids))]


async def forget_record(connection: Connection, tenant_id: UUID, record_id: UUID) -> None:
    """Takes the documents of a record away."""
    await connection.execute(SQL["forget_record"], tenant_id, record_id)

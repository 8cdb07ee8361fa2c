"""Records that look alike, and what became of those that were merged."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.filters import Context
from libs.common.identity import Principal
from libs.common.postgres import Connection
from services.records.domain.permissions import Access
from services.records.domain.records import Edge

SQL = sql.load(__file__)

_json = msgspec.json.Encoder()


class Suspect(msgspec.Struct, frozen=True):
    """A key that several records share; the title goes by the field ''."""

    field: str
    key: str


class MergeRow(msgspec.Struct, frozen=True):
    """A merge as it is kept; `undo` is JSON text."""

    id: UUID
    target_id: UUID
    pipeline_id: UUID
    after_version: int
    undo: str
    merged_by: UUID
    undone: bool


async def suspects(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, after: Suspect, limit: int
) -> list[Suspect]:
    """Keys of several records in a field, in order."""
    rows = await connection.fetch(SQL["suspects"], tenant_id, pipeline_id, after.field, after.key, limit)
    return [Suspect(*row) for row in rows]


async def alike(
    connection: Connection, tenant_id: UUID, access: Access, context: Context, field: str, keys: Sequence[str],
    using: frozenset[str], most: int,
) -> dict[str, list[UUID]]:  # fmt: skip
    """The records that share keys in a field and may be seen with it."""
    params: list[object] = [tenant_id, access.pipeline.id, field, list(keys), most]
    condition = access.condition(params, context, using=using)
    found: dict[str, list[UUID]] = {}
    for key, record_id in await connection.fetch(SQL["alike"].replace("{condition}", condition), *params):
        found.setdefault(key, []).append(record_id)
    return found


async def holder(connection: Connection, tenant_id: UUID, pipeline_id: UUID, of: Suspect) -> UUID | None:
    """A record that has a key, whoever may see it."""
    found: UUID | None = await connection.fetchval(SQL["holder"], tenant_id, pipeline_id, of.field, of.key)
    return found


async def key_of(connection: Connection, tenant_id: UUID, pipeline_id: UUID, field: str, record_id: UUID) -> str | None:
    """The key that a record has in a field."""
    found: str | None = await connection.fetchval(SQL["key_of"], tenant_id, record_id, pipeline_id, field)
    return found


async def edges_of(connection: Connection, tenant_id: UUID, ids: Collection[UUID], limit: int) -> list[Edge]:
    """The relationships of records, as they are while the records live."""
    return [Edge(*row) for row in await connection.fetch(SQL["edges_of"], tenant_id, list(ids), limit)]


async def keep(
    connection: Connection, by: Principal, at: datetime, merge_id: UUID, target: UUID, pipeline_id: UUID,
    versions: tuple[int, int], undo: Any,
) -> None:  # fmt: skip
    """Keeps what a merge did."""
    text = _json.encode(undo).decode()
    await connection.execute(SQL["keep"], by.tenant_id, merge_id, target, pipeline_id, *versions, text, at, by.id)


async def take(connection: Connection, tenant_id: UUID, merge_id: UUID) -> MergeRow | None:
    """A merge, which nobody else undoes meanwhile."""
    row = await connection.fetchrow(SQL["take"], tenant_id, merge_id)
    return None if row is None else MergeRow(*row)


async def undone(connection: Connection, tenant_id: UUID, merge_id: UUID, at: datetime) -> None:
    """Notes that a merge was undone."""
    await connection.execute(SQL["undone"], tenant_id, merge_id, at)

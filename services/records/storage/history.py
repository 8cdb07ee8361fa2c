"""What records were, by the lines of their history, and what a record is now that is compared with them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.filters import Context
from libs.common.postgres import Connection
from services.records.domain.permissions import Access, Passes
from services.records.domain.records import Record

SQL = sql.load(__file__)

_json = msgspec.json.Encoder()


class HistoryRow(msgspec.Struct, frozen=True):
    """One line of a record's history; `changes` and `client` are JSON text."""

    version: int
    operation: str
    changes: str
    actor_id: UUID
    actor_kind: str
    actor_name: str
    at: datetime
    client: str | None


class Moment(msgspec.Struct, frozen=True):
    """What was done last to a record at some moment."""

    version: int
    operation: str
    actor_id: UUID
    at: datetime


class Present(msgspec.Struct, frozen=True):
    """A record as it is stored now, and the `Passes` of reading it."""

    version: int
    data: dict[str, Any]
    created_at: str
    created_by: UUID
    passes: list[bool] | None


async def page(
    connection: Connection, tenant_id: UUID, record_id: UUID, before: int, limit: int,
    actor: UUID | None = None, fields: Sequence[str] | None = None,
) -> list[HistoryRow]:  # fmt: skip
    """Lines of a record's history below a version, newest first; of one actor or of some fields if these are given."""
    rows = await connection.fetch(SQL["page"], tenant_id, record_id, before, limit, actor, fields)
    return [HistoryRow(*row) for row in rows]


async def count(
    connection: Connection, tenant_id: UUID, record_id: UUID, actor: UUID | None, fields: Sequence[str] | None
) -> int:
    """How many lines a record's history has; of one actor or of some fields if these are given."""
    found: int = await connection.fetchval(SQL["count"], tenant_id, record_id, actor, fields)
    return found


async def moment(connection: Connection, tenant_id: UUID, record_id: UUID, at: int | datetime) -> Moment | None:
    """What a record's history says of a version or of a time."""
    version, time = (at, None) if isinstance(at, int) else (None, at)
    row = await connection.fetchrow(SQL["moment"], tenant_id, record_id, version, time)
    return None if row is None else Moment(*row)


async def present(
    connection: Connection, tenant_id: UUID, record_id: UUID, access: Access, context: Context
) -> Present | None:
    """A record that is not in the trash, whole: what of it may be seen is for the caller to judge."""
    params: list[object] = [tenant_id, access.pipeline.id, record_id]
    passes = access.passes(params, context)
    text = SQL["present"].replace("{data}", access.pipeline.data("r")).replace("{passes}", passes)
    row = await connection.fetchrow(text, *params)
    return None if row is None else Present(row[0], msgspec.json.decode(row[1]), *row[2:])


async def passes_then(
    connection: Connection, tenant_id: UUID, then: Record, access: Access, context: Context
) -> Passes:
    """Which rules would hold on a record if it still were as it once was."""
    if not access.ruled:
        return None
    at = datetime.fromisoformat(then.updated_at)
    data = _json.encode(then.data).decode()
    params: list[object] = [tenant_id, then.id, then.version, then.title, data, at, then.updated_by]
    text = SQL["passes_then"].replace("{passes}", access.passes(params, context))
    found: list[bool] = await connection.fetchval(text, *params)
    return found


async def changes_since(connection: Connection, tenant_id: UUID, record_id: UUID, version: int) -> dict[str, object]:
    """The values that fields had at a version, of those that were changed after it."""
    rows = await connection.fetch(SQL["changes_since"], tenant_id, record_id, version)
    return {row["name"]: msgspec.json.decode(row["base"] or "null") for row in rows}

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.pipelines.domain.views import View

SQL = sql.load(__file__)


class ViewRow(msgspec.Struct, frozen=True):
    """A row of `views`; `filter` is JSON text."""

    id: UUID
    pipeline_id: UUID
    version: int
    name: str
    kind: str
    visibility: str
    owner_id: UUID
    filter: str | None
    sort: str | None
    fields: list[str] | None
    group_by: str | None
    date_field: str | None
    created_at: datetime
    updated_at: datetime
    updated_by: UUID


async def count(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> int:
    """How many views a pipeline has; nobody else makes one until the transaction ends."""
    await connection.execute(SQL["lock_views"], pipeline_id)
    found: int = await connection.fetchval(SQL["count_views"], tenant_id, pipeline_id)
    return found


async def insert(connection: Connection, tenant_id: UUID, v: View) -> None:
    """Writes a new view."""
    await connection.execute(
        SQL["insert_view"], tenant_id, v.id, v.pipeline_id, v.version, v.name, v.kind, v.visibility, v.owner_id,
        _json(v), v.sort, v.fields, v.group_by, v.date_field, v.created_at, v.updated_at, v.updated_by,
    )  # fmt: skip


async def update(connection: Connection, tenant_id: UUID, v: View) -> None:
    """Writes a changed view."""
    await connection.execute(
        SQL["update_view"], tenant_id, v.id, v.version, v.name, v.kind, v.visibility, _json(v), v.sort, v.fields,
        v.group_by, v.date_field, v.updated_at, v.updated_by,
    )  # fmt: skip


async def delete(connection: Connection, tenant_id: UUID, view_id: UUID) -> None:
    """Takes a view away."""
    await connection.execute(SQL["delete_view"], tenant_id, view_id)


async def get(connection: Connection, tenant_id: UUID, view_id: UUID) -> View | None:
    """One view."""
    return _one(await connection.fetchrow(SQL["get_view"], tenant_id, view_id))


async def lock(connection: Connection, tenant_id: UUID, view_id: UUID) -> View | None:
    """The same, held until the transaction ends."""
    return _one(await connection.fetchrow(SQL["lock_view"], tenant_id, view_id))


async def lock_all(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> list[View]:
    """All views of a pipeline, held until the transaction ends."""
    return [_view(row) for row in await connection.fetch(SQL["lock_all_views"], tenant_id, pipeline_id)]


async def page(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, owner_id: UUID, after: UUID, limit: int
) -> list[View]:
    """The shared views of a pipeline and those of one owner, in the order they were made."""
    rows = await connection.fetch(SQL["list_views"], tenant_id, pipeline_id, after, owner_id, limit)
    return [_view(row) for row in rows]


def _json(view: View) -> str | None:
    return None if view.filter is None else msgspec.json.encode(view.filter).decode()


def _one(row: asyncpg.Record | None) -> View | None:
    return _view(row) if row else None


def _view(row: asyncpg.Record) -> View:
    tree = None if row["filter"] is None else msgspec.json.decode(row["filter"])
    return View(**{**dict(row.items()), "filter": tree})

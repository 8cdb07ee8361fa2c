"""What is held on a person."""

from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


class Version(msgspec.Struct, frozen=True):
    """A version of a pipeline."""

    pipeline_id: UUID
    version: int
    changed_at: datetime


class View(msgspec.Struct, frozen=True):
    """A view."""

    id: UUID
    pipeline_id: UUID
    name: str
    visibility: str


async def versions(
    connection: Connection, tenant_id: UUID, user_id: UUID, after: tuple[UUID, int], limit: int
) -> list[Version]:
    """Versions that a person made, after one."""
    return [Version(*row) for row in await connection.fetch(SQL["versions"], tenant_id, user_id, *after, limit)]


async def views(connection: Connection, tenant_id: UUID, user_id: UUID) -> list[View]:
    """The views that a person owns."""
    return [View(*row) for row in await connection.fetch(SQL["views"], tenant_id, user_id)]

"""Records as they are, for those who judge by themselves who may see them."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


class State(msgspec.Struct, frozen=True):
    """A record as events tell of it; `data` is JSON text, times are RFC 3339."""

    id: UUID
    pipeline_id: UUID
    version: int
    title: str
    data: str
    created_at: str
    created_by: UUID
    updated_at: str
    updated_by: UUID


async def states(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> list[State]:
    """Those of the records that are there."""
    return [State(*row) for row in await connection.fetch(SQL["states"], tenant_id, list(ids))]

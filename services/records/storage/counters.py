"""Counters of automatic numbers: each is taken once; those of a write that came to nothing may be left out."""

from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


async def take(connection: Connection, tenant_id: UUID, pipeline_id: UUID, field: str, count: int) -> int:
    """Takes the next numbers; the last of them."""
    last: int = await connection.fetchval(SQL["take"], tenant_id, pipeline_id, field, count)
    return last

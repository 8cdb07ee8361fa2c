"""How far the texts of shared documents were written."""

from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


async def advance(connection: Connection, tenant_id: UUID, record_id: UUID, field: str, seq: int) -> bool:
    """Notes how far a document was written; whether that is further than before."""
    return bool(await connection.fetchval(SQL["advance"], tenant_id, record_id, field, seq))

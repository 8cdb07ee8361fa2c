"""What is held on a person."""

from typing import Any
from uuid import UUID

from libs.common import sql
from libs.common.clock import rfc3339
from libs.common.postgres import Connection

SQL = sql.load(__file__)


async def webhooks(
    connection: Connection, tenant_id: UUID, user_id: UUID, after: UUID, limit: int
) -> list[dict[str, Any]]:
    """The webhooks that a person owns, as a report tells them."""
    return [
        {"kind": "webhook", "id": str(row[0]), "url": row[1], "created_at": rfc3339(row[2])}
        for row in await connection.fetch(SQL["webhooks"], tenant_id, user_id, after, limit)
    ]

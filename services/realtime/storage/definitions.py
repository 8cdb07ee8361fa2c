from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.realtime.domain.definitions import Definition

SQL = sql.load(__file__)


async def get(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> Definition | None:
    """The definition of a pipeline as it was announced last."""
    text = await connection.fetchval(SQL["get_definition"], tenant_id, pipeline_id)
    return msgspec.json.decode(text, type=Definition) if text else None


async def put(connection: Connection, tenant_id: UUID, definition: Definition) -> bool:
    """Keeps a definition unless a newer one is known; whether it was kept."""
    text = msgspec.json.encode(definition).decode()
    return bool(await connection.fetchval(SQL["put_definition"], tenant_id, definition.id, definition.version, text))

"""The read model of views."""

from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.records.domain.views import View

SQL = sql.load(__file__)


async def get(connection: Connection, tenant_id: UUID, view_id: UUID) -> View | None:
    """A view."""
    text = await connection.fetchval(SQL["get"], tenant_id, view_id)
    return None if text is None else msgspec.json.decode(text, type=View)


async def put(connection: Connection, tenant_id: UUID, view: View) -> None:
    """Keeps a view; one that is deleted too, so that nothing older brings it back."""
    text = msgspec.json.encode(view).decode()
    await connection.execute(SQL["put"], tenant_id, view.id, view.version, text)

"""The read model of tenants' settings."""

from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


async def keep_zone(connection: Connection, tenant_id: UUID, time_zone: str) -> None:
    """Keeps the time zone of a tenant."""
    await connection.execute(SQL["put_zone"], tenant_id, time_zone)


async def zone(connection: Connection, tenant_id: UUID) -> str:
    """The time zone in which a tenant's days begin."""
    found: str | None = await connection.fetchval(SQL["get_zone"], tenant_id)
    return found or "UTC"

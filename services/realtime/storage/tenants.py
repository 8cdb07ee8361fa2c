"""The read model of tenants' settings."""

from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection
from services.realtime.domain.tenants import Tenant

SQL = sql.load(__file__)


async def keep(connection: Connection, tenant_id: UUID, it: Tenant) -> None:
    """Keeps what auth announced of a tenant."""
    await connection.execute(SQL["put"], tenant_id, it.status, it.time_zone, it.addresses)


async def get(connection: Connection, tenant_id: UUID) -> Tenant | None:
    """A tenant of which was told."""
    row = await connection.fetchrow(SQL["get"], tenant_id)
    return Tenant(row["status"], row["time_zone"], tuple(row["addresses"])) if row else None


async def zone(connection: Connection, tenant_id: UUID) -> str:
    """The time zone in which a tenant's days begin."""
    found: str | None = await connection.fetchval(SQL["get_zone"], tenant_id)
    return found or "UTC"

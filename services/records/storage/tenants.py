"""The read model of tenants' settings."""

from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


async def put(
    connection: Connection, tenant_id: UUID, *, require_if_match: bool, trash_days: int, time_zone: str
) -> None:
    """Keeps what a tenant wants."""
    await connection.execute(SQL["put"], tenant_id, require_if_match, trash_days, time_zone)


async def time_zone(connection: Connection, tenant_id: UUID) -> str:
    """The time zone in which a tenant's days begin."""
    found: str | None = await connection.fetchval(SQL["time_zone"], tenant_id)
    return found or "UTC"


async def require_if_match(connection: Connection, tenant_id: UUID) -> bool:
    """Whether records are changed only by who names their version; a tenant that never said so does not want it."""
    return bool(await connection.fetchval(SQL["require_if_match"], tenant_id))

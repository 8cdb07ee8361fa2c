"""The read model of tenants' settings."""

from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


class Wishes(msgspec.Struct, frozen=True):
    """What a tenant wants; one that never said so is not strict, and its days are those of UTC."""

    require_if_match: bool = False
    time_zone: str = "UTC"


async def put(
    connection: Connection, tenant_id: UUID, *, require_if_match: bool, trash_days: int, time_zone: str
) -> None:
    """Keeps what a tenant wants."""
    await connection.execute(SQL["put"], tenant_id, require_if_match, trash_days, time_zone)


async def wishes(connection: Connection, tenant_id: UUID) -> Wishes:
    """Whether records are changed only by who names their version, and where days begin."""
    row = await connection.fetchrow(SQL["wishes"], tenant_id)
    return Wishes() if row is None else Wishes(*row)

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
    connection: Connection, tenant_id: UUID, *, require_if_match: bool, trash_days: int, time_zone: str,
    asked: bool = False,
) -> None:  # fmt: skip
    """Keeps what a tenant wants; what was `asked` for only where nothing was heard meanwhile."""
    statement = SQL["put_asked" if asked else "put"]
    await connection.execute(statement, tenant_id, require_if_match, trash_days, time_zone)


async def wishes(connection: Connection, tenant_id: UUID) -> Wishes | None:
    """Whether records are changed only by who names their version, and where days begin; null where nobody said."""
    row = await connection.fetchrow(SQL["wishes"], tenant_id)
    return None if row is None else Wishes(*row)

"""The read model of the tenant's users: whom fields may name."""

from collections.abc import Collection
from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


async def keep(connection: Connection, tenant_id: UUID, user_id: UUID, name: str) -> None:
    """Keeps a user."""
    await connection.execute(SQL["keep"], tenant_id, user_id, name)


async def forget(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """Lets go of a user."""
    await connection.execute(SQL["forget"], tenant_id, user_id)


async def names(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
    """What users are called."""
    if not ids:
        return {}
    return {row["id"]: row["name"] for row in await connection.fetch(SQL["names"], tenant_id, list(ids))}


async def known(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> set[UUID]:
    """Which of these are users of the tenant."""
    if not ids:
        return set()
    return {row["id"] for row in await connection.fetch(SQL["known"], tenant_id, list(ids))}

from collections.abc import Collection
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


class Person(msgspec.Struct, frozen=True):
    """A person who may sign in, with the ids of their roles."""

    id: UUID
    name: str
    roles: tuple[UUID, ...]


async def keep(
    connection: Connection, tenant_id: UUID, user_id: UUID, name: str, status: str, roles: Collection[UUID]
) -> None:
    """Keeps what auth announced of a person."""
    await connection.execute(SQL["keep_user"], tenant_id, user_id, name, status, list(roles))


async def meet(connection: Connection, tenant_id: UUID, user_id: UUID, name: str, roles: Collection[UUID]) -> None:
    """Keeps a person who came with a token, unless they are known."""
    await connection.execute(SQL["meet_user"], tenant_id, user_id, name, list(roles))


async def forget(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """Forgets a person."""
    await connection.execute(SQL["forget_user"], tenant_id, user_id)


async def active(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, Person]:
    """Those of the people who may sign in."""
    rows = await connection.fetch(SQL["users"], tenant_id, list(ids))
    return {row["id"]: Person(row["id"], row["name"], tuple(row["roles"])) for row in rows}

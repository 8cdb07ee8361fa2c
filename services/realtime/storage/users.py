from collections.abc import Collection
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


class Person(msgspec.Struct, frozen=True):
    """A person with the ids of their roles."""

    id: UUID
    name: str
    status: str
    roles: tuple[UUID, ...]


async def keep(connection: Connection, tenant_id: UUID, it: Person) -> None:
    """Keeps what auth announced of a person."""
    await connection.execute(SQL["keep_user"], tenant_id, it.id, it.name, it.status, list(it.roles))


async def meet(connection: Connection, tenant_id: UUID, it: Person) -> None:
    """Keeps a person who was met otherwise, unless they are known."""
    await connection.execute(SQL["meet_user"], tenant_id, it.id, it.name, it.status, list(it.roles))


async def forget(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """Forgets a person."""
    await connection.execute(SQL["forget_user"], tenant_id, user_id)


async def known(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, Person]:
    """Those of the people who are known."""
    rows = await connection.fetch(SQL["users"], tenant_id, list(ids))
    return {row["id"]: Person(row["id"], row["name"], row["status"], tuple(row["roles"])) for row in rows}

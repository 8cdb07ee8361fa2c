"""What older secrets have hashed with, of the platform and of no tenant."""

from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


class OlderKey(msgspec.Struct, frozen=True):
    """A key, sealed, and what it was for."""

    id: UUID
    purpose: str
    secret: bytes


async def every(connection: Connection) -> list[OlderKey]:
    """All of them, the oldest first."""
    return [OlderKey(*row) for row in await connection.fetch(SQL["every"])]


async def insert(connection: Connection, key: OlderKey) -> None:
    """One more."""
    await connection.execute(SQL["insert"], key.id, key.purpose, key.secret)


async def put(connection: Connection, id_: UUID, secret: bytes) -> None:
    """A key sealed anew."""
    await connection.execute(SQL["put"], id_, secret)

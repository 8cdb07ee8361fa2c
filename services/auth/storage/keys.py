"""Signing keys, of the platform and of no tenant."""

from datetime import datetime
from typing import Literal

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.keys import NewKey

SQL = sql.load(__file__)

KeyState = Literal["next", "active", "retired"]


class KeyRow(msgspec.Struct, frozen=True):
    """A key; the private part is encrypted, and gone when it is retired."""

    kid: str
    state: KeyState
    public_key: bytes
    private_key: bytes | None


async def lock(connection: Connection) -> None:
    """Waits until this transaction alone makes keys."""
    await connection.execute(SQL["lock"])


async def published(connection: Connection, retired_after: datetime) -> list[KeyRow]:
    """The keys that verifiers should know, oldest first."""
    return [KeyRow(*row) for row in await connection.fetch(SQL["published"], retired_after)]


async def signed(connection: Connection) -> list[KeyRow]:
    """Every key that has ever signed, newest first, without its private part."""
    return [KeyRow(*row) for row in await connection.fetch(SQL["signed"])]


async def insert(connection: Connection, state: KeyState, key: NewKey) -> None:
    """A new key."""
    await connection.execute(SQL["insert"], key.kid, state, key.public_key, key.private_key)


async def put_private_key(connection: Connection, kid: str, sealed: bytes) -> None:
    """The private part of a key, sealed anew."""
    await connection.execute(SQL["put_private_key"], kid, sealed)


async def advance(connection: Connection) -> str:
    """The active key retires, the next becomes active; returns its id."""
    await connection.execute(SQL["retire"])
    return str(await connection.fetchval(SQL["promote"]))

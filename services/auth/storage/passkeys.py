"""Passkeys, and the challenges that they are to sign."""

from datetime import datetime
from uuid import UUID

import asyncpg

from libs.common import sql
from libs.common.errors import Conflict
from libs.common.postgres import Connection
from services.auth.domain.passkeys import Passkey

SQL = sql.load(__file__)


async def of_user(connection: Connection, tenant_id: UUID, user_id: UUID) -> list[Passkey]:
    """A user's passkeys, in the order of their ids."""
    return [Passkey(*row) for row in await connection.fetch(SQL["of_user"], tenant_id, user_id)]


async def by_credential(connection: Connection, tenant_id: UUID, credential_id: bytes) -> Passkey | None:
    """A passkey that nobody else uses until the transaction ends."""
    row = await connection.fetchrow(SQL["by_credential"], tenant_id, credential_id)
    return Passkey(*row) if row else None


async def insert(connection: Connection, tenant_id: UUID, it: Passkey) -> None:
    """A new passkey."""
    values = (it.user_id, it.name, it.rp_id, it.credential_id, it.public_key, it.sign_count, it.synced, it.created_at)
    try:
        await connection.execute(SQL["insert"], tenant_id, it.id, *values)
    except asyncpg.UniqueViolationError:
        raise Conflict("The passkey is registered already", code="passkey-exists") from None


async def use(connection: Connection, tenant_id: UUID, passkey_id: UUID, sign_count: int, now: datetime) -> None:
    """Notes that a passkey was used."""
    await connection.execute(SQL["use"], tenant_id, passkey_id, sign_count, now)


async def rename(connection: Connection, tenant_id: UUID, user_id: UUID, passkey_id: UUID, name: str) -> None:
    """Another name of a passkey."""
    await connection.execute(SQL["rename"], tenant_id, user_id, passkey_id, name)


async def delete(connection: Connection, tenant_id: UUID, user_id: UUID, passkey_id: UUID) -> str | None:
    """Deletes a passkey and returns its name; None where the user has no such."""
    found: str | None = await connection.fetchval(SQL["delete"], tenant_id, user_id, passkey_id)
    return found


async def insert_challenge(
    connection: Connection, tenant_id: UUID, digest: bytes, user_id: UUID | None, challenge: bytes, now: datetime,
    expires_at: datetime,
) -> None:  # fmt: skip
    """A challenge; those of the tenant that nobody answered in time are forgotten."""
    await connection.execute(SQL["forget_challenges"], tenant_id, now)
    await connection.execute(SQL["insert_challenge"], tenant_id, digest, user_id, challenge, expires_at)


async def take_challenge(
    connection: Connection, tenant_id: UUID, digest: bytes, user_id: UUID | None, now: datetime
) -> bytes | None:
    """Uses a challenge up; None where it is not this user's, or not open any more."""
    found: bytes | None = await connection.fetchval(SQL["take_challenge"], tenant_id, digest, user_id, now)
    return found

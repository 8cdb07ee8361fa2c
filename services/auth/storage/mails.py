"""Mails that wait to be sent, and the secrets in them."""

from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.mails import MailedToken, Purpose

SQL = sql.load(__file__)


class Waiting(msgspec.Struct, frozen=True):
    """A mail to be sent, encrypted, and how often that was tried, this time included."""

    tenant_id: UUID
    id: UUID
    message: bytes
    attempts: int


async def enqueue(connection: Connection, tenant_id: UUID, mail_id: UUID, message: bytes) -> None:
    """A mail to be sent after the commit."""
    await connection.execute(SQL["enqueue"], tenant_id, mail_id, message)


async def claim(connection: Connection, limit: int) -> list[Waiting]:
    """Mails of all tenants that are due, as the relay sees them."""
    return [Waiting(*row) for row in await connection.fetch(SQL["claim"], limit)]


async def done(connection: Connection, tenant_id: UUID, mail_id: UUID) -> None:
    """The mail was sent, or given up."""
    await connection.execute(SQL["done"], tenant_id, mail_id)


async def insert_token(connection: Connection, tenant_id: UUID, digest: bytes, it: MailedToken) -> None:
    """A secret; it takes the place of those of the same purpose."""
    await connection.execute(SQL["forget_tokens"], tenant_id, it.user_id, it.purpose)
    values = (it.purpose, it.user_id, it.email, it.created_at, it.expires_at)
    await connection.execute(SQL["insert_token"], tenant_id, digest, *values)


async def newest_token(connection: Connection, tenant_id: UUID, user_id: UUID, purpose: Purpose) -> datetime | None:
    """When a user was last sent a secret of that purpose that was not used."""
    found: datetime | None = await connection.fetchval(SQL["newest"], tenant_id, user_id, purpose)
    return found


async def take_token(
    connection: Connection, tenant_id: UUID, digest: bytes, purpose: Purpose, now: datetime
) -> MailedToken | None:
    """Uses up a secret; None where it is not good for that."""
    row = await connection.fetchrow(SQL["take_token"], tenant_id, digest, purpose, now)
    return MailedToken(*row) if row else None

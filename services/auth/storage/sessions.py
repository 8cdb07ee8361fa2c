"""Sessions and their refresh tokens."""

from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.sessions import MAX_SESSIONS_OF_USER, Client, Seen, Session

SQL = sql.load(__file__)


class TokenRow(msgspec.Struct, frozen=True):
    """A refresh token that is known."""

    session_id: UUID
    user_id: UUID
    expires_at: datetime
    used_at: datetime | None


async def insert(
    connection: Connection, tenant_id: UUID, it: Session, digest: bytes | None = None, until: datetime | None = None
) -> Seen:
    """A new session, with its first token where it has one; from where the user signed in before."""
    values = (it.user_id, it.user_agent, it.address, it.created_at, it.last_used_at, it.expires_at, it.mfa)
    by = (it.actor_id, it.actor_name, it.reason)
    given = (tenant_id, it.id, *values, *by, digest, until, MAX_SESSIONS_OF_USER)
    device, addresses, crowded = await connection.fetchval(SQL["insert"], *given)
    return Seen(device, tuple(addresses or ()), bool(crowded))


async def page(connection: Connection, tenant_id: UUID, user_id: UUID, after: UUID, limit: int) -> list[Session]:
    """A user's sessions that go on, and those of others in which the user acts, in the order of their ids."""
    return [Session(*row) for row in await connection.fetch(SQL["page"], tenant_id, user_id, after, limit)]


async def count(connection: Connection, tenant_id: UUID, user_id: UUID) -> int:
    """How many sessions `page` goes over."""
    return int(await connection.fetchval(SQL["count"], tenant_id, user_id))


async def use(
    connection: Connection, tenant_id: UUID, session_id: UUID, now: datetime, client: Client
) -> Session | None:
    """Notes that a session is used; None where it has ended."""
    row = await connection.fetchrow(SQL["use"], tenant_id, session_id, now, client.user_agent, client.address)
    return Session(*row) if row else None


async def began(connection: Connection, tenant_id: UUID, user_id: UUID, session_id: UUID) -> datetime | None:
    """When a session of a user began that goes on."""
    found: datetime | None = await connection.fetchval(SQL["began"], tenant_id, user_id, session_id)
    return found


async def mark_mfa(connection: Connection, tenant_id: UUID, session_id: UUID) -> None:
    """Notes that a session's user has given a second factor."""
    await connection.execute(SQL["mark_mfa"], tenant_id, session_id)


async def revoke(connection: Connection, tenant_id: UUID, user_id: UUID, session_id: UUID) -> bool:
    """Ends one session of a user, or one in which the user acts; False where there is none that goes on."""
    return bool(await connection.fetchval(SQL["revoke"], tenant_id, user_id, session_id))


async def revoke_all(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """Ends all sessions of a user."""
    await connection.execute(SQL["revoke_all"], tenant_id, user_id)


async def revoke_others(connection: Connection, tenant_id: UUID, user_id: UUID, keep: UUID) -> list[UUID]:
    """Ends all sessions of a user but one; returns which."""
    return [row[0] for row in await connection.fetch(SQL["revoke_others"], tenant_id, user_id, keep)]


async def revoke_single_factor(connection: Connection, tenant_id: UUID) -> list[tuple[UUID, UUID]]:
    """Ends all sessions of a tenant that began with one factor; returns their users and ids."""
    return [tuple(row) for row in await connection.fetch(SQL["revoke_single_factor"], tenant_id)]


async def revoke_oldest(connection: Connection, tenant_id: UUID, user_id: UUID, keep: int) -> list[UUID]:
    """Forgets a user's sessions that are over, and ends all but the newest of the others; returns which."""
    return [row[0] for row in await connection.fetch(SQL["revoke_oldest"], tenant_id, user_id, keep)]


async def insert_token(
    connection: Connection, tenant_id: UUID, digest: bytes, session_id: UUID, now: datetime, expires_at: datetime
) -> None:
    """A new refresh token of a session."""
    await connection.execute(SQL["insert_token"], tenant_id, digest, session_id, now, expires_at)


async def take_token(connection: Connection, tenant_id: UUID, digest: bytes) -> TokenRow | None:
    """A refresh token that nobody else takes until the transaction ends."""
    row = await connection.fetchrow(SQL["take_token"], tenant_id, digest)
    return TokenRow(*row) if row else None


async def mark_used(connection: Connection, tenant_id: UUID, digest: bytes, session_id: UUID, now: datetime) -> None:
    """Notes the first use of a refresh token, and forgets those of its session that have expired."""
    await connection.execute(SQL["mark_used"], tenant_id, digest, now)
    await connection.execute(SQL["forget_expired"], tenant_id, session_id)

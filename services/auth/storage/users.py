"""Users and the roles they have."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from libs.common import sql
from libs.common.errors import Conflict, Fault
from libs.common.postgres import Connection, Database
from services.auth.domain import listing
from services.auth.domain.listing import Key
from services.auth.domain.people import User, UserStatus

SQL = sql.load(__file__)


class Credentials(msgspec.Struct, frozen=True):
    """What a sign-in is judged by."""

    id: UUID
    password_hash: str | None
    status: UserStatus


async def get(connection: Connection, tenant_id: UUID, user_id: UUID) -> User | None:
    """A user with its roles."""
    row = await connection.fetchrow(SQL["get"], tenant_id, user_id)
    return _user(row) if row else None


async def in_order(
    connection: Connection, tenant_id: UUID, keys: Sequence[Key], after: Sequence[object] | None, limit: int
) -> list[User]:
    """Users in an order, behind a row of these values."""
    beyond = listing.beyond(keys, 3) if after is not None else "true"
    statement = SQL["sorted"].format(beyond=beyond, order=listing.sql(keys))
    return [_user(row) for row in await connection.fetch(statement, tenant_id, limit, *(after or ()))]


async def page_of(connection: Connection, tenant_id: UUID, ids: Sequence[UUID]) -> list[User]:
    """The users of these ids that there are, in the order of their ids."""
    return [_user(row) for row in await connection.fetch(SQL["page_of"], tenant_id, list(ids))]


async def introduced(
    connection: Connection, tenant_id: UUID, ids: Sequence[UUID], names: Sequence[str]
) -> list[tuple[UUID, str]]:
    """The users of these ids, and those who go by these names, whatever the case: 5,000 at most."""
    return [(row[0], row[1]) for row in await connection.fetch(SQL["introduced"], tenant_id, list(ids), list(names))]


async def invited(connection: Connection, tenant_id: UUID, after: UUID, limit: int) -> list[User]:
    """Users who have not joined yet, in the order of their ids."""
    return [_user(row) for row in await connection.fetch(SQL["invited"], tenant_id, after, limit)]


async def count_invited(connection: Connection, tenant_id: UUID) -> int:
    """How many users have not joined yet."""
    return int(await connection.fetchval(SQL["count_invited"], tenant_id))


async def count(connection: Connection, tenant_id: UUID) -> int:
    """How many users a tenant has."""
    return int(await connection.fetchval(SQL["count"], tenant_id))


async def credentials(connection: Connection, tenant_id: UUID, email: str) -> Credentials | None:
    """The credentials of a normalized address."""
    row = await connection.fetchrow(SQL["credentials"], tenant_id, email)
    return Credentials(*row) if row else None


async def find_credentials(database: Database, tenant_id: UUID, email: str) -> Credentials | None:
    """The same in a transaction of its own."""
    row = await database.look_up(tenant_id, SQL["find_credentials"], email)
    return Credentials(*row) if row else None


async def insert(connection: Connection, tenant_id: UUID, user: User, password_hash: str | None) -> None:
    """A new user; an address that another user of the tenant has is a conflict."""
    values = (user.email, user.name, user.locale, user.status, password_hash, user.created_at, user.email_verified_at)
    try:
        await connection.execute(SQL["insert"], tenant_id, user.id, *values)
    except asyncpg.UniqueViolationError:
        raise _taken(user.email) from None
    await connection.execute(SQL["add_role"], tenant_id, user.id, user.roles)


async def update(connection: Connection, tenant_id: UUID, user: User) -> None:
    """A user as it is now, its roles included."""
    values = (user.email, user.name, user.locale, user.status, user.updated_at, user.email_verified_at)
    try:
        await connection.execute(SQL["update"], tenant_id, user.id, *values)
    except asyncpg.UniqueViolationError:
        raise _taken(user.email) from None
    await connection.execute(SQL["remove_roles"], tenant_id, user.id, user.roles)
    await connection.execute(SQL["add_role"], tenant_id, user.id, user.roles)


async def set_password_hash(connection: Connection, tenant_id: UUID, user_id: UUID, old: str, new: str) -> bool:
    """Replaces a hash by another; False where it is another one meanwhile."""
    return bool(await connection.fetchval(SQL["set_password_hash"], tenant_id, user_id, old, new))


async def put_password_hash(connection: Connection, tenant_id: UUID, user_id: UUID, new: str) -> None:
    """Gives a user a hash, whatever there was before."""
    await connection.execute(SQL["put_password_hash"], tenant_id, user_id, new)


async def delete(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """Deletes a user with its memberships and sessions."""
    await connection.execute(SQL["delete"], tenant_id, user_id)


async def lock(connection: Connection, tenant_id: UUID, user_id: UUID) -> User | None:
    """A user that nobody else changes, and to whom nobody issues tokens, until the transaction ends."""
    await connection.execute(SQL["lock"], tenant_id, user_id)
    return await get(connection, tenant_id, user_id)


async def keep(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """What a user may do stays as it is until the transaction ends; best read by a later statement."""
    await connection.execute(SQL["hold"], tenant_id, user_id)


async def hold(connection: Connection, tenant_id: UUID, user_id: UUID) -> User | None:
    """A user whose status and roles stay as they are until the transaction ends."""
    await keep(connection, tenant_id, user_id)
    return await get(connection, tenant_id, user_id)


async def other_active_members(connection: Connection, tenant_id: UUID, role_id: UUID, user_id: UUID) -> int:
    """How many active users besides this one have a role."""
    return int(await connection.fetchval(SQL["other_active_members"], tenant_id, role_id, user_id))


async def with_role(connection: Connection, tenant_id: UUID, role_id: UUID, limit: int) -> list[User]:
    """Active users who have a role."""
    return [_user(row) for row in await connection.fetch(SQL["with_role"], tenant_id, role_id, limit)]


async def members(connection: Connection, tenant_id: UUID, role_id: UUID) -> int:
    """How many users have a role."""
    return int(await connection.fetchval(SQL["members"], tenant_id, role_id))


def _user(row: asyncpg.Record) -> User:
    user = User(*row)
    return msgspec.structs.replace(user, roles=tuple(user.roles))


def _taken(email: str) -> Conflict:
    detail = f"A user with the address '{email}' exists already"
    return Conflict(detail, code="email-taken", errors=[Fault("/email", "taken", detail)])

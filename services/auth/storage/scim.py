"""People and roles as the system that provisions them knows them."""

from collections.abc import Sequence
from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.people import User
from services.auth.domain.scim import Kept, Member
from services.auth.storage import users

SQL = sql.load(__file__)


async def kept(connection: Connection, tenant_id: UUID, found: Sequence[User]) -> list[Kept]:
    """Users with what they are called elsewhere."""
    rows = await connection.fetch(SQL["external_ids"], tenant_id, [user.id for user in found])
    called = {row[0]: row[1] for row in rows}
    return [Kept(user, called.get(user.id)) for user in found]


async def page(connection: Connection, tenant_id: UUID, offset: int, limit: int) -> list[Kept]:
    """Users in the order of their ids."""
    ids = [row[0] for row in await connection.fetch(SQL["user_ids"], tenant_id, offset, limit)]
    return await _of_ids(connection, tenant_id, ids)


async def called(connection: Connection, tenant_id: UUID, external_id: str) -> list[Kept]:
    """Users who are called so elsewhere."""
    ids = [row[0] for row in await connection.fetch(SQL["of_external_id"], tenant_id, external_id)]
    return await _of_ids(connection, tenant_id, ids)


async def put_user(connection: Connection, tenant_id: UUID, user_id: UUID, external_id: str | None) -> None:
    """What a user is called elsewhere from now on."""
    await connection.execute(SQL["put_user"], tenant_id, user_id, external_id)


async def role_names(connection: Connection, tenant_id: UUID) -> dict[UUID, str]:
    """What roles are called elsewhere."""
    return {row[0]: row[1] for row in await connection.fetch(SQL["role_external_ids"], tenant_id)}


async def put_role(connection: Connection, tenant_id: UUID, role_id: UUID, external_id: str | None) -> None:
    """What a role is called elsewhere from now on."""
    await connection.execute(SQL["put_role"], tenant_id, role_id, external_id)


async def members(connection: Connection, tenant_id: UUID, role_ids: Sequence[UUID], limit: int) -> list[Member]:
    """Who has these roles."""
    return [Member(*row) for row in await connection.fetch(SQL["members"], tenant_id, list(role_ids), limit)]


async def _of_ids(connection: Connection, tenant_id: UUID, ids: Sequence[UUID]) -> list[Kept]:
    found = [] if not ids else await users.page_of(connection, tenant_id, ids)
    return await kept(connection, tenant_id, found)

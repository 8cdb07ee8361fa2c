"""Domains that tenants claim."""

from uuid import UUID

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.domains import Claim

SQL = sql.load(__file__)


async def claims(connection: Connection, tenant_id: UUID) -> list[Claim]:
    """What a tenant claims and has not proven."""
    return [Claim(*row) for row in await connection.fetch(SQL["claims"], tenant_id)]


async def claim(connection: Connection, tenant_id: UUID, it: Claim) -> None:
    """A claim; one that is there stays."""
    await connection.execute(SQL["claim"], tenant_id, it.host, it.token, it.created_at)


async def unclaim(connection: Connection, tenant_id: UUID, host: str) -> bool:
    """Forgets a claim; False where there is none."""
    return bool(await connection.fetchval(SQL["unclaim"], tenant_id, host))


async def delete(connection: Connection, tenant_id: UUID, host: str) -> bool:
    """Gives a domain up; False where it is not the tenant's."""
    return bool(await connection.fetchval(SQL["delete"], tenant_id, host))

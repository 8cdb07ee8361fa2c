"""Tenants on their way out, and those that are gone."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.organizations import TenantStatus

SQL = sql.load(__file__)


class Open(msgspec.Struct, frozen=True):
    """A deletion there may be something to do for; `reported` when all services have let go of the tenant."""

    id: UUID
    reported: bool


class Deletion(msgspec.Struct, frozen=True):
    """A deletion as it is kept; `reports` is JSON text."""

    id: UUID
    slug: str
    requested_at: datetime
    due_at: datetime
    announced_at: datetime | None
    finished_at: datetime | None
    reports: str


async def insert(
    connection: Connection, tenant_id: UUID, slug: str, resumes: TenantStatus, now: datetime, due: datetime
) -> None:
    """A tenant that ends when it is due."""
    await connection.execute(SQL["insert"], tenant_id, slug, resumes, now, due)


async def recall(connection: Connection, tenant_id: UUID) -> TenantStatus | None:
    """Takes a deletion back; the status that the tenant had before, None where it is too late."""
    found: TenantStatus | None = await connection.fetchval(SQL["recall"], tenant_id)
    return found


async def open_ones(connection: Connection, services: Sequence[str]) -> list[Open]:
    """Deletions of all tenants there may be something to do for."""
    return [Open(*row) for row in await connection.fetch(SQL["open"], list(services))]


async def lock(connection: Connection, tenant_id: UUID) -> bool:
    """Whether nobody else works on the deletion until the transaction ends."""
    return await connection.fetchrow(SQL["lock"], tenant_id) is not None


async def announced(connection: Connection, tenant_id: UUID) -> None:
    """Notes that all services were told."""
    await connection.execute(SQL["announced"], tenant_id)


async def begun(connection: Connection, tenant_id: UUID) -> bool:
    """Whether auth itself lets go of the tenant already."""
    return bool(await connection.fetchval(SQL["begun"], tenant_id))


async def report(connection: Connection, tenant_id: UUID, service: str, counts: dict[str, int]) -> None:
    """Notes what a service let go of."""
    await connection.execute(SQL["report"], tenant_id, service, msgspec.json.encode(counts).decode())


async def finish(connection: Connection, tenant_id: UUID) -> None:
    """The tenant is gone: its slug may be another's."""
    await connection.execute(SQL["forget_organization"], tenant_id)
    await connection.execute(SQL["finish"], tenant_id)


async def newest(connection: Connection, name: str) -> Deletion | None:
    """The deletion of a slug or id."""
    row = await connection.fetchrow(SQL["newest"], name)
    return Deletion(*row) if row else None

"""Tenants and their domains."""

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from libs.common import sql
from libs.common.errors import Conflict, Fault
from libs.common.plans import Limits
from libs.common.postgres import Connection
from services.auth.domain.organizations import Branding, Organization, Security, TenantStatus
from services.auth.domain.people import User
from services.auth.domain.roles import RoleName

SQL = sql.load(__file__)


class OrganizationRow(msgspec.Struct, frozen=True):
    """A row as it is stored; branding, security and limits are JSON text."""

    id: UUID
    slug: str
    name: str
    status: TenantStatus
    locale: str
    time_zone: str
    branding: str
    security: str
    created_at: datetime
    updated_at: datetime
    domains: list[str]
    limits: str
    deletes_at: datetime | None

    def organization(self) -> Organization:
        """The tenant that the row tells of."""
        given = msgspec.structs.asdict(self)
        given["branding"] = msgspec.json.decode(self.branding, type=Branding)
        given["security"] = msgspec.json.decode(self.security, type=Security)
        given["limits"] = msgspec.json.decode(self.limits, type=Limits)
        return Organization(**given | {"domains": tuple(self.domains)})


class Entering(msgspec.Struct, frozen=True):
    """What a sign-in is judged by: user and tenant, the names of the user's roles, and a confirmed second factor."""

    user: User
    organization: Organization
    confirmed: bool
    roles: tuple[RoleName, ...]


_OF_TENANT = len(msgspec.structs.fields(OrganizationRow))


async def id_of_slug(connection: Connection, slug: str) -> UUID | None:
    """The tenant of a slug, before a tenant is known."""
    await connection.execute(SQL["look_up"], slug)
    found: UUID | None = await connection.fetchval(SQL["id_of_slug"], slug)
    return found


async def id_of_domain(connection: Connection, host: str) -> UUID | None:
    """The tenant of a domain, before a tenant is known."""
    await connection.execute(SQL["look_up"], host)
    found: UUID | None = await connection.fetchval(SQL["id_of_domain"], host)
    return found


async def get(connection: Connection, tenant_id: UUID) -> Organization | None:
    """A tenant with its domains."""
    row = await connection.fetchrow(SQL["get"], tenant_id)
    return OrganizationRow(*row).organization() if row else None


async def entering(connection: Connection, tenant_id: UUID, user_id: UUID) -> Entering | None:
    """The same, with what else a sign-in of a user asks."""
    row = await connection.fetchrow(SQL["entering"], tenant_id, user_id)
    if row is None:
        return None
    confirmed, names, *of_user = row[_OF_TENANT:]
    roles = tuple(RoleName(*name) for name in names)
    user = User(*[*of_user, tuple(role.id for role in roles)])
    return Entering(user, OrganizationRow(*row[:_OF_TENANT]).organization(), confirmed, roles)


async def insert(connection: Connection, it: Organization) -> None:
    """A new tenant; a slug or domain that another has is a conflict."""
    try:
        await connection.execute(SQL["insert"], it.id, it.slug, it.name, it.locale, it.time_zone, it.created_at)
    except asyncpg.UniqueViolationError:
        raise _taken("slug", it.slug) from None
    for host in it.domains:
        await insert_domain(connection, it.id, host)


async def insert_domain(connection: Connection, tenant_id: UUID, host: str) -> None:
    """A tenant's domain; one that another has is a conflict."""
    try:
        await connection.execute(SQL["insert_domain"], tenant_id, host)
    except asyncpg.UniqueViolationError:
        raise _taken("domain", host) from None


async def update(connection: Connection, it: Organization) -> None:
    """What may change of a tenant."""
    branding, security, limits = (msgspec.json.encode(of).decode() for of in (it.branding, it.security, it.limits))
    values = (it.name, it.locale, it.time_zone, branding, security, it.updated_at, it.status, limits)
    await connection.execute(SQL["update"], it.id, *values)


async def lock(connection: Connection, tenant_id: UUID) -> None:
    """Waits until this transaction alone changes roles and members of a tenant."""
    await connection.execute(SQL["lock"], tenant_id)


def _taken(what: str, value: str) -> Conflict:
    detail = f"The {what} '{value}' is taken"
    return Conflict(detail, code=f"{what}-taken", errors=[Fault(f"/{what}", "taken", detail)])

"""Roles, as people write them and flattened."""

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from libs.common import sql
from libs.common.errors import Conflict, Fault
from libs.common.permissions import Grant, RoleGrants
from libs.common.postgres import Connection
from services.auth.domain.roles import Role

SQL = sql.load(__file__)

_encode = msgspec.json.Encoder(order="deterministic").encode


class RoleRow(msgspec.Struct, frozen=True):
    """A row as it is stored; grants are JSON text."""

    id: UUID
    slug: str
    name: str
    seeded: bool
    inherits: list[UUID]
    grants: str
    version: int
    created_at: datetime
    updated_at: datetime

    def role(self) -> Role:
        """The role that the row tells of."""
        grants = msgspec.json.decode(self.grants, type=tuple[Grant, ...])
        return Role(
            self.id, self.slug, self.name, self.seeded, tuple(self.inherits), grants, self.version,
            self.created_at, self.updated_at,
        )  # fmt: skip


async def catalogue(connection: Connection, tenant_id: UUID) -> dict[UUID, Role]:
    """All roles of a tenant by id, in the order of their ids."""
    rows = [RoleRow(*row).role() for row in await connection.fetch(SQL["all"], tenant_id)]
    return {role.id: role for role in rows}


async def insert(connection: Connection, tenant_id: UUID, role: Role) -> None:
    """A new role; a slug that another role of the tenant has is a conflict."""
    values = (role.slug, role.name, role.seeded, role.inherits, _text(role.grants))
    try:
        await connection.execute(
            SQL["insert"], tenant_id, role.id, *values, role.version, role.created_at, role.updated_at
        )
    except asyncpg.UniqueViolationError:
        detail = f"A role '{role.slug}' exists already"
        raise Conflict(detail, code="role-exists", errors=[Fault("/slug", "taken", detail)]) from None


async def update(connection: Connection, tenant_id: UUID, role: Role) -> None:
    """A role as it is now."""
    values = (role.name, role.inherits, _text(role.grants), role.version, role.updated_at)
    await connection.execute(SQL["update"], tenant_id, role.id, *values)


async def delete(connection: Connection, tenant_id: UUID, role_id: UUID) -> None:
    """Deletes a role that nobody has."""
    await connection.execute(SQL["delete"], tenant_id, role_id)


async def write_flattened(connection: Connection, tenant_id: UUID, role: RoleGrants) -> None:
    """What a role adds up to."""
    values = (role.version, role.slug, role.name, _text(role.grants))
    await connection.execute(SQL["write_flattened"], tenant_id, role.id, *values)


def _text(grants: tuple[Grant, ...]) -> str:
    return _encode(grants).decode()

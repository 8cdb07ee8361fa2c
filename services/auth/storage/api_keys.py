"""API keys and devices."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.auth.domain.api_keys import ApiKey, Kind

SQL = sql.load(__file__)


async def insert(connection: Connection, tenant_id: UUID, key: ApiKey, digest: bytes) -> None:
    """A new key, by the hash of its secret."""
    values = (key.kind, key.name, digest, key.prefix, key.roles, key.created_by, key.created_at, key.expires_at)
    await connection.execute(SQL["insert"], tenant_id, key.id, *values)


async def get(connection: Connection, tenant_id: UUID, kind: Kind, key_id: UUID) -> ApiKey | None:
    """One key."""
    row = await connection.fetchrow(SQL["get"], tenant_id, kind, key_id)
    return _key(row) if row else None


async def page(
    connection: Connection, tenant_id: UUID, kind: Kind, maker: UUID | None, after: UUID, limit: int
) -> list[ApiKey]:
    """Keys of one maker or of all, in the order of their ids."""
    return [_key(row) for row in await connection.fetch(SQL["page"], tenant_id, kind, maker, after, limit)]


async def of_maker(connection: Connection, tenant_id: UUID, user_id: UUID) -> list[ApiKey]:
    """The API keys that a user made, which nobody uses until the transaction ends."""
    return [_key(row) for row in await connection.fetch(SQL["of_maker"], tenant_id, user_id)]


async def count(connection: Connection, tenant_id: UUID, kind: Kind, maker: UUID | None) -> int:
    """How many keys one maker has, or all have."""
    return int(await connection.fetchval(SQL["count"], tenant_id, kind, maker))


async def of_holders(
    connection: Connection, tenant_id: UUID, role_ids: Sequence[UUID]
) -> list[tuple[ApiKey, tuple[UUID, ...]]]:
    """The API keys of all who have one of the roles, with the roles that their makers have."""
    rows = await connection.fetch(SQL["of_holders"], tenant_id, role_ids)
    return [(_key(row[:-1]), tuple(row[-1])) for row in rows]


async def use(
    connection: Connection, tenant_id: UUID, digest: bytes, now: datetime, address: str | None
) -> ApiKey | None:
    """Notes that a key is used; None where there is none, or it has expired."""
    row = await connection.fetchrow(SQL["use"], tenant_id, digest, now, address)
    return _key(row) if row else None


async def rename(connection: Connection, tenant_id: UUID, key: ApiKey) -> None:
    """Another name of a key."""
    await connection.execute(SQL["rename"], tenant_id, key.kind, key.id, key.name)


async def delete(connection: Connection, tenant_id: UUID, key_id: UUID) -> None:
    """Deletes a key."""
    await connection.execute(SQL["delete"], tenant_id, key_id)


async def with_role(connection: Connection, tenant_id: UUID, role_id: UUID) -> int:
    """How many keys have a role."""
    return int(await connection.fetchval(SQL["with_role"], tenant_id, role_id))


def _key(row: Iterable[Any]) -> ApiKey:
    key = ApiKey(*row)
    return msgspec.structs.replace(key, roles=tuple(key.roles))

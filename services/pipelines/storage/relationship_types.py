from uuid import UUID

import asyncpg

from libs.common import sql
from libs.common.errors import Conflict
from libs.common.postgres import Connection
from services.pipelines.domain.relationship_types import RelationshipType

SQL = sql.load(__file__)


async def lock_all(connection: Connection, tenant_id: UUID) -> None:
    """Waits until nobody else in the tenant is making or changing a type."""
    await connection.execute(SQL["lock_types"], tenant_id)


async def count(connection: Connection, tenant_id: UUID) -> int:
    """How many types there are."""
    found: int = await connection.fetchval(SQL["count_types"], tenant_id)
    return found


async def insert(connection: Connection, tenant_id: UUID, kind: RelationshipType) -> None:
    """Writes a new type; `Conflict` where the name is taken."""
    await _write(connection, "insert_type", tenant_id, kind)


async def update(connection: Connection, tenant_id: UUID, kind: RelationshipType) -> None:
    """Writes a changed type; `Conflict` where the name is taken."""
    await _write(connection, "update_type", tenant_id, kind)


async def delete(connection: Connection, tenant_id: UUID, type_id: UUID) -> None:
    """Takes a type away."""
    await connection.execute(SQL["delete_type"], tenant_id, type_id)


async def get(connection: Connection, tenant_id: UUID, type_id: UUID) -> RelationshipType | None:
    """One type by id."""
    return _one(await connection.fetchrow(SQL["get_type"], tenant_id, type_id))


async def lock(connection: Connection, tenant_id: UUID, type_id: UUID) -> RelationshipType | None:
    """The same, held until the transaction ends."""
    return _one(await connection.fetchrow(SQL["lock_type"], tenant_id, type_id))


async def find(connection: Connection, tenant_id: UUID, name: str) -> RelationshipType | None:
    """One type by name."""
    return _one(await connection.fetchrow(SQL["find_type"], tenant_id, name))


async def find_called(connection: Connection, tenant_id: UUID, name: str) -> RelationshipType | None:
    """One type by its name, or else by its inverse's."""
    return _one(await connection.fetchrow(SQL["find_called"], tenant_id, name))


async def page(connection: Connection, tenant_id: UUID, after: UUID, limit: int) -> list[RelationshipType]:
    """Types in the order they were made."""
    return [_type(row) for row in await connection.fetch(SQL["list_types"], tenant_id, after, limit)]


async def _write(connection: Connection, statement: str, tenant_id: UUID, k: RelationshipType) -> None:
    try:
        await connection.execute(
            SQL[statement], tenant_id, k.id, k.version, k.name, k.inverse_name, k.source_pipeline, k.target_pipeline,
            k.cardinality, k.on_delete, k.implicit, k.created_at, k.created_by, k.updated_at, k.updated_by,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise Conflict(f"Another type of relationship has the name '{k.name}'", code="name-taken") from None


def _one(row: asyncpg.Record | None) -> RelationshipType | None:
    return _type(row) if row else None


def _type(row: asyncpg.Record) -> RelationshipType:
    return RelationshipType(**dict(row.items()))

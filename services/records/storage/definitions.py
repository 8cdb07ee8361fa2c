"""The read models of pipelines and of relationship types."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.records.domain.definitions import Definition, RelationshipType

SQL = sql.load(__file__)


async def pipeline(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> Definition | None:
    """A pipeline's definition."""
    text = await connection.fetchval(SQL["get_pipeline"], tenant_id, pipeline_id)
    return None if text is None else msgspec.json.decode(text, type=Definition)


async def pipeline_ids(connection: Connection, tenant_id: UUID, most: int) -> list[UUID]:
    """The pipelines that are not in the trash."""
    return [row[0] for row in await connection.fetch(SQL["pipeline_ids"], tenant_id, most)]


async def put_pipeline(connection: Connection, tenant_id: UUID, definition: Definition) -> bool:
    """Keeps a definition; false where a newer one was there."""
    text = msgspec.json.encode(definition).decode()
    args = (tenant_id, definition.id, definition.version, text)
    return bool(await connection.fetchval(SQL["put_pipeline"], *args))


async def relationship_type(connection: Connection, tenant_id: UUID, name: str) -> RelationshipType | None:
    """A type by its name or its inverse's."""
    row = await connection.fetchrow(SQL["get_type"], tenant_id, name)
    return None if row is None else RelationshipType(*row)


async def type_name(connection: Connection, tenant_id: UUID, type_id: UUID) -> str | None:
    """The name by which a type's edges are known."""
    name: str | None = await connection.fetchval(SQL["get_type_name"], tenant_id, type_id)
    return name


async def put_type(connection: Connection, tenant_id: UUID, it: RelationshipType) -> None:
    """Keeps a type."""
    await connection.execute(
        SQL["put_type"], tenant_id, it.id, it.name, it.version, it.inverse_name, it.source_pipeline,
        it.target_pipeline, it.cardinality, it.on_delete, it.deleted,
    )  # fmt: skip


async def delete_rules(connection: Connection, tenant_id: UUID, names: Collection[str]) -> dict[str, str]:
    """What deleting a target does, by type name."""
    rows = await connection.fetch(SQL["delete_rules"], tenant_id, list(names))
    return {row["name"]: row["on_delete"] for row in rows}

"""Relationships between records, findable from both ends."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.common import sql
from libs.common.identity import Principal
from libs.common.postgres import Connection
from services.records.domain.masks import Masks
from services.records.domain.records import Edge

SQL = sql.load(__file__)

FieldEnd = tuple[UUID, str, UUID]
"""Source, relation field, target."""


async def insert(connection: Connection, by: Principal, at: datetime, edges: Sequence[Edge]) -> set[UUID]:
    """Writes relationships; gives back the ids of those for which there is room."""
    if not edges:
        return set()
    rows = await connection.fetch(
        SQL["insert"], by.tenant_id, at, by.id, [e.id for e in edges], [e.type for e in edges],
        [e.source_id for e in edges], [e.source_pipeline for e in edges], [e.target_id for e in edges],
        [e.target_pipeline for e in edges], [e.field for e in edges], [e.one_target for e in edges],
        [e.one_source for e in edges], [e.attributes for e in edges],
    )  # fmt: skip
    return {row[0] for row in rows}


async def park(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> None:
    """Lets the relationships of records in the trash leave room for others."""
    await connection.execute(SQL["park"], tenant_id, list(ids))


async def unpark(connection: Connection, tenant_id: UUID, record_id: UUID) -> bool:
    """Lets the relationships of a record that is back take their room again; false where others have it by now."""
    try:
        await connection.execute(SQL["unpark"], tenant_id, record_id)
    except asyncpg.UniqueViolationError:
        return False
    return True


async def same(connection: Connection, tenant_id: UUID, edge: Edge) -> bool:
    """Whether two records are related in this way already."""
    found: bool = await connection.fetchval(
        SQL["same"], tenant_id, edge.source_id, edge.type, edge.target_id, edge.field
    )
    return found


async def get(connection: Connection, tenant_id: UUID, edge_id: UUID) -> Edge | None:
    """One relationship."""
    row = await connection.fetchrow(SQL["get"], tenant_id, edge_id)
    return None if row is None else Edge(*row)


async def hold(connection: Connection, tenant_id: UUID, edge_id: UUID) -> Edge | None:
    """The same, which nobody else changes until the transaction ends."""
    row = await connection.fetchrow(SQL["hold"], tenant_id, edge_id)
    return None if row is None else Edge(*row)


async def describe(connection: Connection, tenant_id: UUID, edge: Edge) -> None:
    """Writes what is said of a relationship."""
    await connection.execute(SQL["describe"], tenant_id, edge.id, edge.attributes)


async def between(connection: Connection, tenant_id: UUID, way: Sequence[UUID], masks: Masks) -> list[Edge]:
    """A relationship between each record of a way and the next, where there is one that may be seen."""
    params: list[object] = [tenant_id, way[:-1], way[1:]]
    text = SQL["between"].format(shown=masks.condition(params))
    return [Edge(*row) for row in await connection.fetch(text, *params)]


async def delete(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> list[Edge]:
    """Takes relationships away."""
    return [Edge(*row) for row in await connection.fetch(SQL["delete"], tenant_id, list(ids))]


async def delete_of_fields(connection: Connection, tenant_id: UUID, gone: Sequence[FieldEnd]) -> list[Edge]:
    """Takes away what relation fields no longer hold."""
    if not gone:
        return []
    columns = [g[0] for g in gone], [g[1] for g in gone], [g[2] for g in gone]
    return [Edge(*row) for row in await connection.fetch(SQL["delete_of_fields"], tenant_id, *columns)]


async def delete_of_records(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> list[Edge]:
    """Takes away all relationships of records."""
    return [Edge(*row) for row in await connection.fetch(SQL["delete_of_records"], tenant_id, list(ids))]


async def page(
    connection: Connection, tenant_id: UUID, record_id: UUID, after: UUID, type_: str | None, limit: int
) -> list[Edge]:
    """The relationships of a record to live ones, ordered by id."""
    rows = await connection.fetch(SQL["page"], tenant_id, record_id, after, type_, limit)
    return [Edge(*row) for row in rows]


async def incoming(connection: Connection, tenant_id: UUID, ids: Collection[UUID], limit: int) -> list[Edge]:
    """The relationships by which other live records hold on to these."""
    return [Edge(*row) for row in await connection.fetch(SQL["incoming"], tenant_id, list(ids), limit)]


async def held_fields(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> list[Edge]:
    """The relationships by which relation fields of others hold on to these."""
    return [Edge(*row) for row in await connection.fetch(SQL["held_fields"], tenant_id, list(ids))]


async def plan_each(connection: Connection) -> None:
    """Lets each statement of the transaction be planned for the records that it asks for."""
    await connection.execute(SQL["plan_each"])


async def rename(connection: Connection, tenant_id: UUID, old: str, new: str) -> None:
    """Lets a type's relationships go by its new name."""
    await connection.execute(SQL["rename"], tenant_id, old, new)

"""Values of unique fields, one row each: two writers cannot both have one, and no table is altered for it."""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)

Claim = tuple[str, str, UUID]
"""Field, value, record."""


async def claim(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, claims: Sequence[Claim]
) -> set[tuple[str, str]]:
    """Takes values; gives back those that someone else has."""
    if not claims:
        return set()
    rows = await connection.fetch(SQL["claim"], tenant_id, pipeline_id, *_columns(claims))
    return {(field, value) for field, value, _ in claims} - {(row[0], row[1]) for row in rows}


async def unclaimed(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, wanted: Sequence[tuple[str, str, UUID, object]]
) -> set[tuple[str, str]]:
    """The field and key of those claims whose values, given as part of data, other records have."""
    given = [msgspec.json.encode(part).decode() for _, _, _, part in wanted]
    columns = _columns([(name, key, record_id) for name, key, record_id, _ in wanted])
    rows = await connection.fetch(SQL["unclaimed"], tenant_id, pipeline_id, *columns, given)
    return {(row[0], row[1]) for row in rows}


async def release(connection: Connection, tenant_id: UUID, pipeline_id: UUID, claims: Sequence[Claim]) -> None:
    """Gives values back."""
    if claims:
        await connection.execute(SQL["release"], tenant_id, pipeline_id, *_columns(claims))


async def release_records(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> None:
    """Gives back all values of records."""
    await connection.execute(SQL["release_records"], tenant_id, list(ids))


async def find(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, field: str, values: Collection[str]
) -> dict[str, UUID]:
    """The records that have these values, by value."""
    rows = await connection.fetch(SQL["find"], tenant_id, pipeline_id, field, list(values))
    return {row[0]: row[1] for row in rows}


def _columns(claims: Sequence[Claim]) -> tuple[list[str], list[str], list[UUID]]:
    return [c[0] for c in claims], [c[1] for c in claims], [c[2] for c in claims]

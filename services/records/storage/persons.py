"""What is held on a person, read in bounded stretches, in the order of the primary keys."""

from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.records.domain.definitions import Definition

SQL = sql.load(__file__)
MAX_DATA = 40_000


class Scanned(msgspec.Struct, frozen=True):
    """A stretch that was looked through: how many rows, where it ended, what of it is the person's (JSON)."""

    count: int
    last: UUID | None
    version: int
    items: str


class Anonymized(msgspec.Struct, frozen=True):
    """A stretch that was looked through: how many rows, where it ended, and how many lost a name."""

    count: int
    last: UUID | None
    version: int
    changed: int


async def authored(connection: Connection, tenant_id: UUID, user_id: UUID, after: UUID, limit: int) -> Scanned:
    """Records that a person made or changed last."""
    row = await connection.fetchrow(SQL["authored"], tenant_id, after, limit, user_id)
    assert row is not None
    return Scanned(*row)


async def acted(
    connection: Connection, tenant_id: UUID, user_id: UUID, after: UUID, version: int, limit: int
) -> Scanned:
    """What a person did to records."""
    row = await connection.fetchrow(SQL["acted"], tenant_id, after, version, limit, user_id)
    assert row is not None
    return Scanned(*row)


async def anonymize(
    connection: Connection, tenant_id: UUID, user_id: UUID, after: UUID, version: int, limit: int, name: str
) -> Anonymized:
    """Takes a person's name out of history."""
    row = await connection.fetchrow(SQL["anonymize"], tenant_id, after, version, limit, user_id, name)
    assert row is not None
    return Anonymized(*row)


async def anonymize_definitions(connection: Connection, tenant_id: UUID, user_id: UUID, name: str) -> None:
    """Takes a person's name out of the definitions that they changed last."""
    await connection.execute(SQL["anonymize_definitions"], tenant_id, user_id, name)


async def next_pipeline(connection: Connection, tenant_id: UUID, after: UUID) -> Definition | None:
    """The pipeline after another, by id."""
    text = await connection.fetchval(SQL["pipelines"], tenant_id, after)
    return None if text is None else msgspec.json.decode(text, type=Definition)


async def holding(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, values: dict[str, Any], after: UUID, limit: int
) -> list[tuple[UUID, str, Any]]:
    """Records that hold these values: id, title and data."""
    text = msgspec.json.encode(values).decode()
    found = await connection.fetch(SQL["holding"], tenant_id, pipeline_id, text, after, limit, MAX_DATA)
    return [(row[0], row[1], msgspec.json.decode(row[2]) if row[2] else None) for row in found]

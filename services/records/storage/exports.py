"""Lists of any length, read through a cursor under one snapshot."""

from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from libs.common.postgres import Database
from services.records.storage import listing, records
from services.records.storage.listing import Query

BATCH = 500
ALL = 2**53

Batch = Sequence[tuple[str, str, str, str]]
"""Rows of id, JSON text, created and updated."""


async def rows(database: Database, tenant_id: UUID, query: Query, *, bodies: bool) -> AsyncGenerator[Batch, None]:
    """The records of a list, some hundreds at a time: their bodies, or their data."""
    params: list[object] = [tenant_id, query.access.pipeline.id]
    if bodies:
        shown = records.body(query.access, params, query.context, query.only)
    else:
        shown = f"({query.access.data(params, query.context, only=query.only)})::text"
    columns = f"r.id::text, {shown} as shown, {_moment('created_at')}, {_moment('updated_at')}"
    text = query.sort.page(columns, listing.where(query, params), None, ALL, params)
    async with database.tenant(tenant_id) as connection:
        cursor = await connection.cursor(text, *params)
        while batch := await cursor.fetch(BATCH):
            yield [(row[0], row[1], row[2], row[3]) for row in batch]


def _moment(column: str) -> str:
    return f"to_char(r.{column} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

"""Counts that are kept while records are written, and the same counted over what may be seen."""

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.filters import Context
from libs.common.postgres import Connection, Database
from services.records.domain.permissions import Access

SQL = sql.load(__file__)
RELAY = "millrace_records_relay"
LOOKED_AT = 20_000
"""Where not all may be seen, so many of the newest records are looked at."""

Wanted = tuple[UUID, str]


class Counted(msgspec.Struct, frozen=True):
    """A field by which a pipeline is counted; '' stands for what needs none."""

    pipeline_id: UUID
    field: str
    ready: bool


class Tally(msgspec.Struct, frozen=True):
    """How many: `live` by field and value, `made` by day, `entered` by field, value and day, `did` by operation
    (field), user (value) and day.
    """

    kind: str
    pipeline_id: UUID
    field: str
    value: str
    day: date | None
    amount: int


async def wanted(connection: Connection, tenant_id: UUID, pipelines: Collection[UUID]) -> list[Counted]:
    """What of pipelines is counted."""
    return [Counted(*row) for row in await connection.fetch(SQL["wanted"], tenant_id, list(pipelines))]


async def want(connection: Connection, tenant_id: UUID, new: Sequence[Wanted], old: Sequence[Wanted]) -> None:
    """Begins to count by some fields, and ends to count by others."""
    if new:
        await connection.execute(SQL["want"], tenant_id, [it[0] for it in new], [it[1] for it in new])
    if old:
        await connection.execute(SQL["unwant"], tenant_id, [it[0] for it in old], [it[1] for it in old])


async def read(
    connection: Connection, tenant_id: UUID, pipelines: Collection[UUID], since: date, until: date
) -> list[Tally]:
    """What was counted of pipelines."""
    return [Tally(*row) for row in await connection.fetch(SQL["read"], tenant_id, list(pipelines), since, until)]


async def seen(
    connection: Connection, tenant_id: UUID, access: Access, context: Context, field: str, since: date, until: date
) -> tuple[list[Tally], bool]:
    """The same of the records that may be seen, and with them a field; and whether all records were looked at."""
    pipeline = access.pipeline
    params: list[object] = [tenant_id, pipeline.id, field, since, until]
    using = frozenset((field,)) if field else frozenset()
    condition = access.condition(params, context, using=using)
    stage = f"{pipeline.data('r')}->>$3" if field else "null::text"
    parts = {"bound": str(LOOKED_AT), "stage": stage, "condition": condition}
    text = SQL["seen"]
    for part, value in parts.items():
        text = text.replace(f"{{{part}}}", value)
    rows = await connection.fetch(text, *params)
    found = [Tally(row[0], pipeline.id, *row[1:]) for row in rows]
    looked = next(it.amount for it in found if it.kind == "looked")
    return [it for it in found if it.kind != "looked" and it.amount], looked < LOOKED_AT


async def next_tenant(database: Database, after: UUID) -> UUID | None:
    """The next tenant of which something is to be counted."""
    async with database.relay(RELAY) as connection:
        found: UUID | None = await connection.fetchval(SQL["open"], after)
    return found


async def alone(connection: Connection, tenant_id: UUID) -> bool:
    """Whether nobody else counts for this tenant until the transaction ends."""
    return bool(await connection.fetchval(SQL["alone"], tenant_id))


async def fold(connection: Connection, tenant_id: UUID, limit: int) -> int:
    """Adds up some of what was counted; how many rows."""
    return int(await connection.fetchval(SQL["fold"], tenant_id, limit))


async def mark(connection: Connection, tenant_id: UUID) -> None:
    """Notes who may not have seen yet that fields are counted."""
    await connection.execute(SQL["mark"], tenant_id)


async def count_next(connection: Connection, tenant_id: UUID) -> bool:
    """Counts what there is of one field that all who write have seen; whether there was one."""
    row = await connection.fetchrow(SQL["due"], tenant_id)
    if row is None:
        return False
    pipeline_id, field = row
    await connection.execute(SQL["unbound"])
    await connection.execute(SQL["clear"], tenant_id, pipeline_id, field)
    if field:
        await connection.execute(SQL["count_stages"], tenant_id, pipeline_id, field)
    else:
        await connection.execute(SQL["count_all"], tenant_id, pipeline_id)
    await connection.execute(SQL["ready"], tenant_id, pipeline_id, field)
    return True

"""Computed values that were put off, and the jobs that see to them."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database

SQL = sql.load(__file__)
RELAY = "millrace_records_relay"


class Lag(msgspec.Struct, frozen=True):
    """A pipeline some of whose values are late."""

    tenant_id: UUID
    pipeline_id: UUID


class Last(msgspec.Struct, frozen=True):
    """The last job of a pipeline, if any, and how many seconds ago it ended."""

    job_id: UUID | None
    state: str | None
    ago: float | None


class Late(msgspec.Struct, frozen=True):
    """Fields of a record that were put off at once; `by` is JSON text."""

    id: UUID
    names: list[str]
    by: str


async def put_off(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, ids: Collection[UUID], names: Collection[str],
    by: Mapping[str, Any],
) -> None:  # fmt: skip
    """Leaves fields of records to a job."""
    text = msgspec.json.encode(by).decode()
    new = [new_id() for _ in ids]
    await connection.execute(SQL["put_off"], tenant_id, pipeline_id, list(ids), new, sorted(names), text)


async def pipelines(database: Database, after: Lag, limit: int) -> list[Lag]:
    """The next pipelines some of whose values are late."""
    async with database.relay(RELAY) as connection:
        rows = await connection.fetch(SQL["pipelines"], after.tenant_id, after.pipeline_id, limit)
    return [Lag(*row) for row in rows]


async def last(connection: Connection, it: Lag) -> Last | None:
    """The last job of a pipeline, which nobody else follows up before the transaction ends; none where another does."""
    await connection.execute(SQL["note"], it.tenant_id, it.pipeline_id)
    if not await connection.fetchval(SQL["hold"], it.tenant_id, it.pipeline_id):
        return None
    row = await connection.fetchrow(SQL["last"], it.tenant_id, it.pipeline_id)
    return None if row is None else Last(*row)


async def replace(connection: Connection, it: Lag, job_id: UUID) -> None:
    """Another job is the last one from now on."""
    await connection.execute(SQL["replace"], it.tenant_id, it.pipeline_id, job_id)


async def first(connection: Connection, it: Lag) -> str | None:
    """Who made a change that values of a pipeline are late for, as JSON text; none where none is late."""
    found: str | None = await connection.fetchval(SQL["first"], it.tenant_id, it.pipeline_id)
    return found


async def following(connection: Connection, it: Lag, after: UUID, limit: int) -> list[UUID]:
    """The next records of a pipeline some of whose values are late."""
    return [row[0] for row in await connection.fetch(SQL["next"], it.tenant_id, it.pipeline_id, after, limit)]


async def left(connection: Connection, it: Lag, after: UUID) -> int:
    """How many such records come after one."""
    found: int = await connection.fetchval(SQL["left"], it.tenant_id, it.pipeline_id, after)
    return found


async def take(connection: Connection, it: Lag, record_id: UUID) -> list[Late]:
    """What was put off of a record, the latest last: from now on it is for the caller to compute."""
    rows = await connection.fetch(SQL["take"], it.tenant_id, it.pipeline_id, record_id)
    return sorted((Late(*row) for row in rows), key=lambda late: late.id)

"""Which indexes tenants want, and building them without blocking anyone who writes."""

from collections.abc import Collection, Sequence
from typing import TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.records.domain.definitions import Definition
from services.records.domain.indexes import MANY, MAX_VIEWS, FieldIndex, statistics_name
from services.records.domain.views import View

SQL = sql.load(__file__)
LOCK = "records field indexes"

Builder: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A connection of the role that owns the tables."""


class Open(msgspec.Struct, frozen=True):
    """An index that is to be built, or dropped where it is not wanted."""

    tenant_id: UUID
    name: str
    pipeline_id: UUID
    expression: str
    wanted: bool
    derived: bool


class Built(msgspec.Struct, frozen=True):
    """How many indexes a tenant has, and how many of them are derived."""

    tenant_id: UUID
    every: int
    derived: int


async def want(
    connection: "Connection | Builder", tenant_id: UUID, pipeline_id: UUID, indexes: Sequence[FieldIndex]
) -> None:
    """Notes which indexes a pipeline shall have from now on."""
    names = [index.name for index in indexes]
    await connection.execute(SQL["release"], tenant_id, pipeline_id, names)
    expressions, derived = [index.expression for index in indexes], [index.derived for index in indexes]
    await connection.execute(SQL["want"], tenant_id, pipeline_id, names, expressions, derived)


async def views(connection: "Connection | Builder", tenant_id: UUID, pipeline_id: UUID) -> list[View]:
    """The views of a pipeline, the oldest of them where there are very many."""
    rows = await connection.fetch(SQL["views"], tenant_id, pipeline_id, MAX_VIEWS)
    return [msgspec.json.decode(row[0], type=View) for row in rows]


async def connect(dsn: str) -> Builder:
    """A connection to build with; building may take long and waits for old transactions, blocking nobody. It takes one
    core: parallel workers would be done sooner, at the cost of all who ask meanwhile.
    """
    settings = {
        "application_name": "millrace records indexes",
        "search_path": "records, extensions",
        "lock_timeout": "0",
        "statement_timeout": "0",
        "max_parallel_maintenance_workers": "0",
    }
    return await asyncpg.connect(dsn, timeout=10, server_settings=settings)


async def lead(builder: Builder) -> bool:
    """Whether this is the one that builds."""
    return bool(await builder.fetchval("select pg_try_advisory_lock(hashtext($1))", LOCK))


async def defined(builder: Builder, after: tuple[UUID, UUID], limit: int) -> list[tuple[UUID, Definition]]:
    """The next definitions of any tenant, with the tenant, after one of these ids."""
    rows = await builder.fetch(SQL["definitions"], *after, limit)
    return [(row["tenant_id"], msgspec.json.decode(row["definition"], type=Definition)) for row in rows]


async def open_indexes(builder: Builder, resting: Collection[str]) -> list[Open]:
    """What is to be done, but for derived indexes that are to be built, and those that rest."""
    return [Open(*row) for row in await builder.fetch(SQL["open"], list(resting))]


async def open_derived(builder: Builder, after: str, limit: int) -> list[Open]:
    """The next derived indexes that are not there, in the order of their names."""
    return [Open(*row) for row in await builder.fetch(SQL["open_derived"], after, limit)]


async def worth(builder: Builder, index: Open) -> bool:
    """Whether the pipeline has so many records that a derived index is worth its price."""
    async with builder.transaction():
        await builder.execute(SQL["enter"], str(index.tenant_id))
        found: bool = await builder.fetchval(SQL["many"], index.tenant_id, index.pipeline_id, MANY - 1)
        return found


async def built(builder: Builder) -> list[Built]:
    """How many indexes of fields there are, by tenant."""
    return [Built(*row) for row in await builder.fetch(SQL["built"])]


async def is_valid(builder: Builder, name: str) -> bool | None:
    """Whether an index is whole; null where there is none."""
    found: bool | None = await builder.fetchval(SQL["valid"], name)
    return found


async def build(builder: Builder, index: Open) -> bool:
    """Builds an index, unless it is there; what a build that broke off left behind is dropped first."""
    valid = await is_valid(builder, index.name)
    if valid is False:
        await builder.execute(SQL["drop"].replace("{name}", index.name))
    if not valid:
        text = SQL["build"].replace("{name}", index.name).replace("{pipeline_id}", str(index.pipeline_id))
        await builder.execute(text.replace("{expression}", index.expression))
    text = SQL["observe"].replace("{statistics}", statistics_name(index.expression))
    await builder.execute(text.replace("{expression}", index.expression))
    return not valid


async def learn(builder: Builder) -> None:
    """Tells the planner about indexes that were built."""
    await builder.execute(SQL["learn"])


async def mark_ready(builder: Builder, there: Sequence[Open]) -> None:
    """Notes that indexes are there."""
    for index in there:
        await builder.execute(SQL["mark_ready"], index.tenant_id, index.name)


async def drop_orphans(builder: Builder) -> None:
    """Drops the indexes of tenants that are gone."""
    for row in await builder.fetch(SQL["orphans"]):
        await builder.execute(SQL["drop"].replace("{name}", row[0]))


async def drop(builder: Builder, index: Open) -> None:
    """Drops an index that is not wanted any more."""
    await builder.execute(SQL["drop"].replace("{name}", index.name))
    if not await builder.fetchval(SQL["used"], index.expression):
        await builder.execute(SQL["overlook"].replace("{statistics}", statistics_name(index.expression)))
    await builder.execute(SQL["forget"], index.tenant_id, index.name)

"""Lists of records: filtered, ordered and paged by the filter language, their bodies written by PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from libs.common import filters
from libs.common.filters import Context, Node, Schema, Sort
from libs.common.postgres import Connection
from services.records.domain.aggregation import Aggregation
from services.records.domain.permissions import Access, Fields
from services.records.storage import records

MAX_LIMIT = 200
MAX_GROUPED = 1_000
COUNTED = 10_000
"""Up to here an estimate is exact."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A list within one pipeline. `using` are the fields it looks at; `links` the relations whose ids it gives."""

    access: Access
    schema: Schema
    context: Context
    node: Node | None
    sort: Sort
    using: frozenset[str]
    after: Sequence[object] | None
    binding: str
    limit: int
    only: Fields = None
    links: frozenset[str] = frozenset()
    trashed: bool = False


class Listed(msgspec.Struct, frozen=True):
    """One record of a page."""

    id: UUID
    body: str
    links: str | None
    cursor_key: str


async def page(connection: Connection, tenant_id: UUID, query: Query) -> list[Listed]:
    """Up to one record more than the page holds."""
    text, params = statement(tenant_id, query)
    return [Listed(*row) for row in await connection.fetch(text, *params)]


def statement(tenant_id: UUID, query: Query) -> tuple[str, list[object]]:
    """The select of a page, with its parameters."""
    params: list[object] = [tenant_id, query.access.pipeline.id]
    body = records.body(query.access, params, query.context, query.only)
    links = records.links(query.access, params, query.context, query.links)
    columns = f"r.id, {body} as body, {links} as links"
    shown = where(query, params)
    return query.sort.page(columns, shown, query.after, query.limit + 1, params), params


async def count(connection: Connection, tenant_id: UUID, query: Query, *, exact: bool) -> int:
    """How many records the list has; past ten thousand an estimate is what the planner expects."""
    params: list[object] = [tenant_id, query.access.pipeline.id]
    parts = {"trashed": _trashed(query), "condition": condition(query, params)}
    bound = "null" if exact else str(COUNTED + 1)
    found: int = await connection.fetchval(records.fill("count", bound=bound, **parts), *params)
    if exact or found <= COUNTED:
        return found
    plan = await connection.fetchval(records.fill("explain", **parts), *params)
    return max(found, int(msgspec.json.decode(plan)[0]["Plan"]["Plan Rows"]))


async def aggregate(
    connection: Connection, tenant_id: UUID, query: Query, asked: Aggregation, zone: str = "UTC"
) -> list[str]:
    """The groups of a list as JSON texts; those by time in their order, days as they are in a time zone."""
    params: list[object] = [tenant_id, query.access.pipeline.id]
    if asked.zoned:
        params.append(zone)
    group = [(group.name, group.sql("$3::text")) for group in asked.groups]
    expressions = ", ".join(text for _, text in group)
    text = records.fill(
        "aggregate",
        group=", ".join(f"'{name}', {value}" for name, value in group),
        metrics=", ".join(f"'{metric.name}', {metric.sql()}" for metric in asked.metrics),
        condition=condition(query, params),
        grouped=f"group by {expressions}" if group else "",
        order=expressions if asked.timed else "count(1) desc" + (f", {expressions}" if group else ""),
        limit=str(query.limit),
    )
    return [row[0] for row in await connection.fetch(text, *params)]


def condition(query: Query, params: list[object]) -> str:
    """SQL for the rows of a list: what may be seen and passes the filter."""
    seen = query.access.condition(params, query.context, using=query.using)
    if query.node is None:
        return seen
    return f"{seen} and {filters.to_sql(query.node, query.schema, params, query.context)}"


def where(query: Query, params: list[object]) -> str:
    """SQL for the rows of a list, with the place they are in."""
    place = f"r.tenant_id = $1 and r.pipeline_id = $2 and r.deleted_at is {_trashed(query)}"
    return f"{place} and {condition(query, params)}"


def _trashed(query: Query) -> str:
    return "not null" if query.trashed else "null"

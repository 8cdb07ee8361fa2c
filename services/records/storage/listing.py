"""Lists of records: filtered, ordered and paged by the filter language, their bodies written by PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from libs.common import filters
from libs.common.filters import Context, Node, Op, Schema, Sort
from libs.common.postgres import Connection, Database
from services.records.domain.aggregation import Aggregation
from services.records.domain.expansion import Branch
from services.records.domain.favourites import Favourites
from services.records.domain.permissions import Access, Fields
from services.records.storage import records

MAX_LIMIT = 200
MAX_GROUPED = 1_000
COUNTED = 10_000
"""Up to here an estimate is exact."""
_favourites = Favourites()
_BOUNDS = (Op.GT, Op.GTE, Op.LT, Op.LTE, Op.BETWEEN, Op.BEFORE, Op.AFTER)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A list within one pipeline. `using` are the fields it looks at; `links` the relations whose ids it gives, or
    `branches` those that are expanded in it.
    """

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
    branches: tuple[Branch, ...] = ()
    trashed: bool = False


class Written(msgspec.Struct, frozen=True):
    """A page: bodies with commas between them, and where more follow the sort key of the last."""

    items: str
    cursor_key: str | None


class Listed(msgspec.Struct, frozen=True):
    """One record of a page."""

    id: UUID
    body: str
    links: str | None
    cursor_key: str


async def written(database: Database, tenant_id: UUID, query: Query) -> Written:
    """A page, without a transaction around it."""
    text, params = writing(query, _favourites)
    row = await database.look_up(tenant_id, text, *params)
    assert row is not None
    return Written(row[0] or "", row[1])


def writing(query: Query, favourites: Favourites) -> tuple[str, list[object]]:
    """The statement of a page for `Database.look_up`, with its parameters after the tenant.

    Where no value can call for another plan, pipeline and limit stand in the text of those that are `favourites`, so
    that PostgreSQL plans it once: the index of a field is of one pipeline, which a plan for any could not use. The
    first page by id is ordered by the pipeline too, as the index of pipelines is, lest all records of the tenant be
    read up to the first of them.
    """
    steady = _steady(query)
    named = steady and favourites.ask(_question(query))
    params: list[object] = [None] if named else [None, query.access.pipeline.id, query.limit]
    pipeline, limit = (f"'{query.access.pipeline.id}'", str(query.limit)) if named else ("$2", "$3::bigint")
    first = steady and query.node is None and query.after is None and query.sort.keys[0].field.column == "id"
    within = f"r.pipeline_id between {pipeline} and {pipeline}" if first else f"r.pipeline_id = {pipeline}"
    shown, columns = where(query, params, "tenant.id", within), records.fill("columns", r="r")
    rows = query.sort.rows(
        columns, shown, query.after, f"{limit} + 1", params,
        within="r.pipeline_id" if first else "", present=steady and query.node is not None,
    )  # fmt: skip
    body, key = _body(query, params), query.sort.key()
    return records.fill("written", body=body, key=key, columns=columns, rows=rows, limit=limit), params[1:]


def _question(query: Query) -> tuple[object, ...]:
    return query.access.pipeline.id, query.limit, str(query.sort), query.node is None, query.after is None


def _body(query: Query, params: list[object]) -> str:
    return records.body(query.access, params, query.context, query.only, branches=query.branches)


def _steady(query: Query) -> bool:
    """Whether the best plan is the same whatever the values: no rule, and no filter but bounds of the first key."""
    seen = query.access.condition([], query.context, using=query.using)
    return seen == "true" and _bounded(query.node, query.sort)


def _bounded(node: Node | None, sort: Sort) -> bool:
    """Whether a filter does no more than to bound the first key of an order."""
    match node:
        case None:
            return True
        case filters.And(nodes):
            return bool(nodes) and all(_bounded(inner, sort) for inner in nodes)
        case filters.Compare(path, op):
            return path == (sort.keys[0].field.name,) and op in _BOUNDS
        case _:
            return False


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


def where(query: Query, params: list[object], tenant: str = "$1", within: str = "r.pipeline_id = $2") -> str:
    """SQL for the rows of a list, with the place they are in."""
    place = f"r.tenant_id = {tenant} and {within} and r.deleted_at is {_trashed(query)}"
    return f"{place} and {condition(query, params)}"


def _trashed(query: Query) -> str:
    return "not null" if query.trashed else "null"

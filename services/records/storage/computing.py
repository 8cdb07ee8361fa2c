"""What computed values follow from, who follows, and which records are marked because they could not follow at once."""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from libs.common import filters, sql
from libs.common.filters import Context, Schema
from libs.common.formulas import to_json
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from services.records.domain.computing import Across
from services.records.domain.definitions import Definition

SQL = sql.load(__file__)
RELAY = "millrace_records_relay"
MAX_LISTED = 1_000

_VALUE = "r.data #> {path}::text[]"
_TEXT = "r.data #>> {path}::text[]"
_NUMBER = "case when jsonb_typeof(r.data #> {path}::text[]) = 'number' then (r.data #>> {path}::text[])::numeric end"
_BOOLEAN = "case when jsonb_typeof(r.data #> {path}::text[]) = 'boolean' then (r.data #>> {path}::text[])::boolean end"
_STRING = f"case when jsonb_typeof({_VALUE}) = 'string' then {_TEXT} end collate \"C\""
_ORDER = "order by linked.place, linked.far"
_LISTED = f"jsonb_agg({_VALUE} {_ORDER}) filter (where {_VALUE} is not null)"
_GATHER: Mapping[str, str] = {
    "count_distinct": f"to_jsonb(count(distinct {_TEXT}))",
    "sum": f"to_jsonb(coalesce(sum({_NUMBER}), 0))",
    "avg": f"to_jsonb(avg({_NUMBER}))",
    "any": f"to_jsonb(coalesce(bool_or({_BOOLEAN}), false))",
    "all": f"to_jsonb(coalesce(bool_and({_BOOLEAN}), true))",
    "concat": f"to_jsonb(left(string_agg({_TEXT}, ', ' {_ORDER}), 10000))",
    "first": f"({_LISTED})->0",
    "list": f"jsonb_path_query_array({_LISTED}, '$[0 to {MAX_LISTED - 1}]')",
}


class Held(msgspec.Struct, frozen=True):
    """A pipeline that is written now: null where nothing was heard of it."""

    version: int | None
    followers: int | None
    pending: int | None


class Mark(msgspec.Struct, frozen=True):
    """A record that has to follow."""

    tenant_id: UUID
    pipeline_id: UUID
    record_id: UUID


async def hold(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> Held:
    """What who writes must know of a pipeline; who makes a newer definition waits for this transaction."""
    return Held(*await connection.fetchrow(SQL["hold"], tenant_id, pipeline_id))  # type: ignore[misc]


async def following(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> list[Definition]:
    """The pipelines whose computed fields look at one."""
    rows = await connection.fetch(SQL["following"], tenant_id, pipeline_id)
    return [msgspec.json.decode(row[0], type=Definition) for row in rows]


async def follow(connection: Connection, tenant_id: UUID, targets: Collection[UUID]) -> None:
    """Notes that computed fields look at pipelines in another way."""
    await connection.execute(SQL["follow"], tenant_id, list(targets))


async def gather(
    connection: Connection, tenant_id: UUID, it: Across, schema: Schema, path: Sequence[str], context: Context,
    near: Sequence[UUID], far: Sequence[UUID] | None, data: str | None = None,
) -> tuple[dict[UUID, Any], dict[UUID, int]]:  # fmt: skip
    """The values of a lookup or rollup for records, and from how many each is; `far` are what they hold themselves,
    place by place. `data` is SQL for the data of `m`, where values of what they are related to may go by old names.
    """
    params: list[object] = [tenant_id, it.target, list(near), list(far) if far is not None else it.type]
    links = "links_given" if far is not None else "links_against" if it.inverse else "links_along"
    condition = "true"
    if it.filter is not None:
        node = filters.parse_tree(it.filter, schema)
        condition = filters.to_sql(node, schema, params, context, "r")
    params.append(list(path))
    expression = _expression(it).replace("{path}", f"${len(params)}")
    if "$" not in expression:
        params.pop()
    text = SQL["gather"].replace("{gather}", expression).replace("{links}", SQL[links].strip().rstrip(";"))
    records = "records" if data is None else f"({SQL['renamed'].strip().rstrip(';').replace('{data}', data)})"
    text = text.replace("{ids}", "$3::uuid[]").replace("{condition}", condition).replace("{records}", records)
    rows = await connection.fetch(text, *params)
    values = {row[0]: _value(row[1]) for row in rows if row[1] is not None}
    return values, {row[0]: row[2] for row in rows}


def _expression(it: Across) -> str:
    if it.function == "count":
        return f"to_jsonb(count({_VALUE}))" if it.field else "to_jsonb(count(r.id))"
    if it.function in ("min", "max"):
        return f"to_jsonb({it.function}({_NUMBER if it.kind == 'number' else _STRING}))"
    return _GATHER[it.function]


def _value(text: str) -> Any:
    value = msgspec.json.decode(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return to_json(Decimal(str(value)))
    return value


async def dependents(
    connection: Connection, tenant_id: UUID, it: Across, pipeline_id: UUID, sources: Collection[UUID], after: UUID,
    limit: int,
) -> list[UUID]:  # fmt: skip
    """The next records of a pipeline for which a field looks at any of these."""
    statement = SQL["dependents_against" if it.inverse and not it.own else "dependents_along"]
    rows = await connection.fetch(statement, tenant_id, list(sources), it.type, pipeline_id, after, limit)
    return [row[0] for row in rows]


async def depending(
    connection: Connection, tenant_id: UUID, it: Across, pipeline_id: UUID, sources: Collection[UUID]
) -> int:
    """For how many records of a pipeline a field looks at any of these."""
    statement = SQL["depending_against" if it.inverse and not it.own else "depending_along"]
    found: int = await connection.fetchval(statement, tenant_id, list(sources), it.type, pipeline_id)
    return found


async def mark(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, ids: Collection[UUID], by: Mapping[str, Any]
) -> None:
    """Marks records, to follow when this is committed and nobody else writes them."""
    text = msgspec.json.encode(by).decode()
    await connection.execute(SQL["mark"], tenant_id, [new_id() for _ in ids], pipeline_id, list(ids), text)


async def tell(connection: Connection) -> None:
    """Wakes those who look for what was marked or put off, when this is committed."""
    await connection.execute(SQL["told"])


async def marked(database: Database, limit: int) -> list[Mark]:
    """Some of the records that are marked."""
    async with database.relay(RELAY) as connection:
        return [Mark(*row) for row in await connection.fetch(SQL["marked"], limit)]


async def unmark(connection: Connection, tenant_id: UUID, record_id: UUID) -> list[Any]:
    """Takes a record's marks; who made the changes that they follow from."""
    rows = await connection.fetch(SQL["unmark"], tenant_id, record_id)
    return [msgspec.json.decode(row[0]) for row in rows]


async def waiting(connection: Connection, tenant_id: UUID, kind: str, pipeline_id: UUID, given: object) -> bool:
    """Whether a job waits that will do the same."""
    text = msgspec.json.encode(given).decode()
    return await connection.fetchval(SQL["waiting"], tenant_id, kind, pipeline_id, text) is not None


async def open_jobs(connection: Connection, tenant_id: UUID, kind: str) -> int:
    """How many jobs of a kind have not ended, but for those of values that were put off."""
    found: int = await connection.fetchval(SQL["open"], tenant_id, kind)
    return found

"""Walks through relationships: a whole path written as one statement, or step by step."""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection, Database
from services.records.domain.masks import Masks
from services.records.domain.paths import MAX_NODES, Step
from services.records.storage import records
from services.records.storage.lanes import STEADY

SQL = sql.load(__file__)
BOUNDS = SQL["bounds"]


class Level(msgspec.Struct, frozen=True):
    """The records of one pipeline that so many steps led to: how many, and the first of them after a page's cursor."""

    depth: int
    pipeline_id: UUID
    count: int
    ids: list[UUID]


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """How many records of one pipeline so many steps led to."""

    depth: int
    pipeline_id: UUID
    count: int


class AtOnce(msgspec.Struct, frozen=True):
    """All steps of a walk, and a page: its bodies with commas between them, and where more follow its last record."""

    counts: list[Counted]
    items: str | None
    last: UUID | None


class Hop(msgspec.Struct, frozen=True):
    """A record one step away, the one from which it was come to, and whether it was looked for."""

    id: UUID
    pipeline_id: UUID
    via: UUID
    met: bool


async def hop(
    connection: Connection, tenant_id: UUID, step: Step, masks: Masks, near: Collection[UUID], *,
    but: Collection[UUID], far: Collection[UUID], limit: int,
) -> list[Hop]:  # fmt: skip
    """The live records one step away from any of these, but for those named; if it leads to far ones, those alone."""
    params: list[object] = [tenant_id, list(near), list(but), list(far), limit]
    text = hopping(step, masks, params)
    return [Hop(*row) for row in await connection.fetch(text, *params)]


def hopping(step: Step, masks: Masks, params: list[object]) -> str:
    """The select of one step; its parameters begin with tenant, near, unwanted and far records, and a limit."""
    return SQL["hop"].format(ways=_ways(step, masks.condition(params), params, "$1"))


async def walk(
    connection: Connection,
    tenant_id: UUID,
    start: UUID,
    steps: Sequence[Step],
    masks: Masks,
    *,
    after: UUID,
    limit: int,
) -> list[Level]:
    """What the steps lead to, whoever may see the records: live ones, where they were come to first; of none the first.

    A step takes at most one record more than a walk may come to.
    """
    params: list[object] = [tenant_id, start, after, limit]
    text = statement(steps, masks, params)
    return [Level(*row) for row in await connection.fetch(text, *params)]


def statement(steps: Sequence[Step], masks: Masks, params: list[object]) -> str:
    """The select of a walk; its parameters begin with the tenant, the first record, and the page's cursor and size."""
    levels = " union all ".join(SQL["level"].format(place=place) for place in range(len(steps) + 1))
    return SQL["walk"].format(hops=_hops(steps, masks, params, "$1"), levels=levels)


async def at_once(
    database: Database, tenant_id: UUID, start: UUID, steps: Sequence[Step], masks: Masks, *,
    ends_only: bool, after: UUID, limit: int,
) -> AtOnce:  # fmt: skip
    """A walk with its page, for one who may see all that it leads to."""
    params: list[object] = [None, start, after, limit]
    text = stating_at_once(steps, masks, params, ends_only=ends_only)
    row = await database.look_through(tenant_id, text, *params[1:], lane=STEADY)
    counts, items, last = row[0]
    return AtOnce(msgspec.json.decode(counts or "[]", type=list[Counted]), items, last)


def stating_at_once(steps: Sequence[Step], masks: Masks, params: list[object], *, ends_only: bool) -> str:
    """The statement of that for `Database.look_through`, whose parameters are those of `statement`."""
    places = range(len(steps) + 1)
    wanted = places[-1:] if ends_only else places[1:]
    return SQL["at_once"].format(
        hops=_hops(steps, masks, params, "(select id from tenant)"),
        wanted=" union all ".join(SQL["wanted"].format(place=place) for place in wanted),
        counted=" union all ".join(SQL["counted"].format(place=place) for place in places),
        shown=" union all ".join(SQL["shown"].format(place=place, body=records.OPEN) for place in wanted),
    )


def _hops(steps: Sequence[Step], masks: Masks, params: list[object], tenant: str) -> str:
    shown = masks.condition(params)
    return ", ".join(_hop(place, step, shown, params, tenant) for place, step in enumerate(steps, 1))


def _hop(place: int, step: Step, shown: str, params: list[object], tenant: str) -> str:
    seen = " union all ".join(f"select id from live{before}" for before in range(place))  # noqa: S608
    ways = _ways(step, shown, params, tenant)
    return SQL["live"].format(
        place=place, near=place - 1, ways=ways, seen=seen, limit=MAX_NODES + 1, tenant=tenant
    )  # fmt: skip


def _ways(step: Step, shown: str, params: list[object], tenant: str) -> str:
    kind = ""
    if step.type is not None:
        params.append(step.type)
        kind = f"and e.type = ${len(params)}"
    return " union all ".join(
        SQL[way].format(kind=kind, shown=shown, tenant=tenant)
        for way, open_ in (("along", step.along), ("against", step.against))
        if open_
    )

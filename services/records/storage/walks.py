"""Walks through relationships: a whole path written as one statement, or step by step."""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.records.domain.masks import Masks
from services.records.domain.paths import MAX_NODES, Step

SQL = sql.load(__file__)
BOUNDS = SQL["bounds"]


class Level(msgspec.Struct, frozen=True):
    """The records of one pipeline that so many steps led to: how many, and the first of them after a page's cursor."""

    depth: int
    pipeline_id: UUID
    count: int
    ids: list[UUID]


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
    return SQL["hop"].format(ways=_ways(step, masks.condition(params), params))


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
    places = range(1, len(steps) + 1)
    shown = masks.condition(params)
    hops = ", ".join(_hop(place, step, shown, params) for place, step in zip(places, steps, strict=True))
    levels = " union all ".join(SQL["level"].format(place=place) for place in range(len(steps) + 1))
    return SQL["walk"].format(hops=hops, levels=levels)


def _hop(place: int, step: Step, shown: str, params: list[object]) -> str:
    seen = " union all ".join(f"select id from live{before}" for before in range(place))  # noqa: S608
    ways = _ways(step, shown, params)
    return SQL["live"].format(place=place, near=place - 1, ways=ways, seen=seen, limit=MAX_NODES + 1)


def _ways(step: Step, shown: str, params: list[object]) -> str:
    kind = ""
    if step.type is not None:
        params.append(step.type)
        kind = f"and e.type = ${len(params)}"
    return " union all ".join(
        SQL[way].format(kind=kind, shown=shown)
        for way, open_ in (("along", step.along), ("against", step.against))
        if open_
    )

"""Count and sum the records of a list."""

from collections.abc import Sequence
from uuid import UUID

from libs.common import filters
from services.records.domain.aggregation import Aggregation, check_zone, parse_aggregation
from services.records.domain.reach import Reach, fields_used, shown_by
from services.records.storage import listing
from services.records.usecases.caller import Caller
from services.records.usecases.read import hinting


async def aggregate(
    caller: Caller,
    pipeline_id: UUID,
    pairs: Sequence[tuple[str, str]],
    group_by: str | None,
    metrics: str,
    time_zone: str | None = None,
) -> list[str]:
    """The groups as JSON texts, the largest first, or by time in order; without `group_by` there is one.

    Days begin as they do in the time zone, by default the organization's.
    """
    check_zone(time_zone)

    async def work(reach: Reach) -> list[str]:
        reach.require("read")
        node = filters.parse_query(pairs, reach.schema)
        asked = parse_aggregation(group_by, metrics, reach.schema)
        query = _query(caller, reach, node, asked)
        with hinting(query):
            async with caller.reads.tenant(caller.tenant_id) as connection:
                zone = time_zone or str(caller.context.tz)
                return await listing.aggregate(connection, caller.tenant_id, query, asked, zone)

    return await caller.settled(pipeline_id, work)


def _query(caller: Caller, reach: Reach, node: filters.Node | None, asked: Aggregation) -> listing.Query:
    return listing.Query(
        access=reach.access("read"),
        schema=reach.schema,
        context=caller.context,
        node=node,
        sort=filters.parse_sort(None, reach.schema),
        using=shown_by(reach.pipeline, fields_used(node) | asked.fields),
        after=None,
        binding="",
        limit=listing.MAX_GROUPED,
    )

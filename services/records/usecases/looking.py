"""Several records at once, of whatever pipelines, as a principal may see them."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from libs.common.errors import NotFound
from services.records.storage import records
from services.records.usecases.caller import Caller


async def look(caller: Caller, ids: Collection[UUID]) -> dict[UUID, str]:
    """The bodies of those of the records that may be seen."""
    async with caller.database.tenant(caller.tenant_id) as connection:
        places = await records.places(connection, caller.tenant_id, ids)
    found: dict[UUID, str] = {}
    by_pipeline: dict[UUID, list[UUID]] = defaultdict(list)
    for place in places:
        if not place.deleted:
            by_pipeline[place.pipeline_id].append(place.id)
    for pipeline_id, some in by_pipeline.items():
        found |= await _of_pipeline(caller, pipeline_id, some)
    return found


async def _of_pipeline(caller: Caller, pipeline_id: UUID, ids: list[UUID]) -> dict[UUID, str]:
    try:
        access = (await caller.reach(pipeline_id)).access("read")
    except NotFound:
        return {}
    if not access.alternatives:
        return {}
    async with caller.database.tenant(caller.tenant_id) as connection:
        bodies = await records.bodies(connection, caller.tenant_id, ids, access, caller.context)
    return {record_id: body for record_id, (body, _) in bodies.items()}

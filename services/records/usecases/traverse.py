"""Walk relationships, to all that a path leads to.

A record that may not be seen is not stepped on, so nothing behind it is found through it; and a relationship that a
hidden field made is not walked.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec

from libs.common.errors import Invalid, NotFound
from libs.common.postgres import Connection
from services.records.domain.masks import Masks
from services.records.domain.paths import MAX_NODES, Step
from services.records.domain.permissions import Access
from services.records.domain.reach import Reach
from services.records.storage import edges, records, walks
from services.records.storage.walks import Hop, Level
from services.records.usecases.caller import Caller
from services.records.usecases.relate import visible_ids


class TooMany(Invalid):
    """A way leads to more records than it may."""

    def __init__(self) -> None:
        super().__init__(f"The way leads to more than {MAX_NODES} records", code="too-many-records")


class Walk:
    """A walk that begins at one record, which must be visible."""

    def __init__(self, caller: Caller, connection: Connection) -> None:
        self.caller = caller
        self.connection = connection
        self.masks = Masks(caller.permissions)
        self.pipelines: dict[UUID, UUID] = {}
        self._planning = False

    async def begin(self, record_id: UUID) -> Reach:
        """The reach of the first record's pipeline."""
        place = await records.place(self.connection, self.caller.tenant_id, record_id)
        if place is None:
            raise NotFound("There is no such record")
        reach = self.caller.warm_reach(place.pipeline_id)
        if reach is None:
            raise NotFound("There is no such record")
        seen = await visible_ids(self.caller, reach, self.connection, place.pipeline_id, {record_id})
        if not seen:
            raise NotFound("There is no such record")
        self.pipelines[record_id] = place.pipeline_id
        return reach

    async def step(
        self, near: Collection[UUID], step: Step, reach: Reach, *, far: Collection[UUID] = (), room: int = MAX_NODES
    ) -> dict[UUID, Hop]:
        """The visible records one step on that were not come to before; if it leads to far ones, those alone.

        Far ones are records that are known to be visible. Raises `TooMany` where there is no room for all.
        """
        found = await walks.hop(
            self.connection, self.caller.tenant_id, step, self.masks, near, but=self.pipelines, far=far, limit=room + 1
        )
        unmet = {hop.id: hop for hop in found if not hop.met}
        seen = await self._visible(unmet, reach)
        reached = {hop.id: hop for hop in found if hop.met or hop.id in seen}
        _bound(max(len(unmet), len(self.pipelines) + len(reached)), room)
        self.pipelines |= {record_id: hop.pipeline_id for record_id, hop in reached.items()}
        return reached

    async def _visible(self, hops: Mapping[UUID, Hop], reach: Reach) -> set[UUID]:
        by_pipeline: dict[UUID, set[UUID]] = {}
        for hop in hops.values():
            by_pipeline.setdefault(hop.pipeline_id, set()).add(hop.id)
        seen: set[UUID] = set()
        for pipeline_id, ids in by_pipeline.items():
            other = self.caller.warm_reach(pipeline_id)
            if other is not None and other.access("read").every_row:
                seen |= ids
            elif other is not None:
                await self._plan_each()
                seen |= await visible_ids(self.caller, reach, self.connection, pipeline_id, ids)
        return seen

    async def _plan_each(self) -> None:
        if not self._planning:
            await edges.plan_each(self.connection)
            self._planning = True

    def sees_all(self, levels: Sequence[Level]) -> bool:
        """Notes the records if all of these pipelines' may be seen, so that no step has to be judged."""
        reaches = [self.caller.warm_reach(pipeline_id) for pipeline_id in {level.pipeline_id for level in levels}]
        if not all(reach is not None and reach.access("read").every_row for reach in reaches):
            return False
        for level in levels:
            self.pipelines |= dict.fromkeys(level.ids, level.pipeline_id)
        _bound(sum(level.count for level in levels))
        return True

    async def bodies(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """The records' bodies in the given order, but for those that went away after they were come to."""
        by_access: dict[Access, list[UUID]] = {}
        for record_id in ids:
            reach = self.caller.warm_reach(self.pipelines[record_id])
            assert reach is not None
            by_access.setdefault(reach.access("read"), []).append(record_id)
        found = await records.bodies_among(self.connection, self.caller.tenant_id, by_access, self.caller.context)
        return {record_id: found[record_id] for record_id in ids if record_id in found}


class Reached(msgspec.Struct, frozen=True):
    """A page of what a walk came to, each of its bodies or all with commas between them, and how many in all."""

    bodies: list[str]
    last: UUID | None
    count: int


async def traverse(
    caller: Caller, record_id: UUID, steps: Sequence[Step], *, ends_only: bool, after: UUID, limit: int
) -> Reached:
    """The records at the end of the path, or with any path all that were come to, ordered by id."""
    named = [await _named(caller, step) for step in steps]

    async def work() -> Reached:
        if Masks.hide_nothing(caller.permissions):
            found = await _at_once(caller, record_id, named, ends_only=ends_only, after=after, limit=limit)
            if found is not None:
                return found
        async with caller.reads.tenant(caller.tenant_id, walks.BOUNDS) as connection:
            walk = Walk(caller, connection)
            levels = await _levels(walk, record_id, named, after, limit + 1)
            wanted = [level for level in levels if (level.depth == len(steps) if ends_only else level.depth > 0)]
            depths = {reached: level.depth for level in wanted for reached in level.ids}
            page = sorted(depths)[: limit + 1]
            shown = await walk.bodies(page[:limit])
            bodies = [f'{body[:-1]},"depth":{depths[i]}}}' for i, body in shown.items()]
            last = page[limit - 1] if len(page) > limit else None
            return Reached(bodies, last, sum(level.count for level in wanted))

    return await caller.warmed(work)


async def _at_once(
    caller: Caller, record_id: UUID, steps: Sequence[Step], *, ends_only: bool, after: UUID, limit: int
) -> Reached | None:
    """The same by one statement; nothing where it turns out that a pipeline is gone, or its values are moving."""
    found = await walks.at_once(
        caller.reads, caller.tenant_id, record_id, steps, Masks(caller.permissions),
        ends_only=ends_only, after=after, limit=limit,
    )  # fmt: skip
    if not found.counts:
        raise NotFound("There is no such record")
    reaches = [caller.warm_reach(pipeline_id) for pipeline_id in {it.pipeline_id for it in found.counts}]
    if not all(reach is not None and records.is_open(reach.access("read")) for reach in reaches):
        return None
    _bound(sum(it.count for it in found.counts))
    wanted = (it.count for it in found.counts if (it.depth == len(steps) if ends_only else it.depth > 0))
    return Reached([found.items] if found.items else [], found.last, sum(wanted))


async def _levels(walk: Walk, record_id: UUID, steps: Sequence[Step], after: UUID, limit: int) -> list[Level]:
    """What was come to: by one statement where all of it may be seen, else judged step by step."""
    tenant_id = walk.caller.tenant_id
    levels = await walks.walk(walk.connection, tenant_id, record_id, steps, walk.masks, after=after, limit=limit)
    if not any(level.depth == 0 for level in levels):
        raise NotFound("There is no such record")
    if walk.sees_all(levels):
        return levels
    reach = await walk.begin(record_id)
    near, judged = [record_id], list[Level]()
    for depth, step in enumerate(steps, 1):
        hops = await walk.step(near, step, reach)
        near = list(hops)
        judged += _by_pipeline(depth, hops, after)
        if not near:
            break
    return judged


def _by_pipeline(depth: int, hops: Mapping[UUID, Hop], after: UUID) -> list[Level]:
    members: dict[UUID, list[UUID]] = {}
    for hop in hops.values():
        members.setdefault(hop.pipeline_id, []).append(hop.id)
    return [
        Level(depth, pipeline_id, len(ids), [member for member in ids if member > after])
        for pipeline_id, ids in members.items()
    ]


def _bound(reached: int, room: int = MAX_NODES) -> None:
    if reached > room:
        raise TooMany


async def _named(caller: Caller, step: Step) -> Step:
    """The step by the type's own name; called by its inverse's, it is walked the other way."""
    known = step.type and await caller.catalog.known_type(caller.tenant_id, step.type)
    if not known or known.name == step.type:
        return step
    return Step(known.name, step.against, step.along)

"""The shortest way between two records, searched from both ends.

Level by level the end that has fewer records at its front goes on, until it leads to the front of the other. A record
that may not be seen is not stepped on, so no way leads over it.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from libs.common.errors import Unavailable
from libs.common.postgres import Connection
from services.records.domain.paths import MAX_DEPTH, MAX_NODES, Step
from services.records.domain.reach import Reach
from services.records.domain.records import Edge
from services.records.storage import edges, walks
from services.records.storage.walks import Hop
from services.records.usecases.caller import Caller
from services.records.usecases.traverse import TooMany, Walk

ANY = Step(None, along=True, against=True)
MAX_SEARCHES = 3


class Way(msgspec.Struct, frozen=True):
    """The records from one to another, and the relationships between them."""

    bodies: list[str]
    relationships: list[Edge]


class End:
    """What was come to from one end: its front, and of each record the one before it."""

    def __init__(self, walk: Walk, record_id: UUID, reach: Reach) -> None:
        self.walk = walk
        self.reach = reach
        self.front = [record_id]
        self.depth = 0
        self.wide = False
        self._before: dict[UUID, UUID] = {}

    @classmethod
    async def at(cls, caller: Caller, connection: Connection, record_id: UUID) -> "End":
        """An end of a way; the record must be visible."""
        walk = Walk(caller, connection)
        return cls(walk, record_id, await walk.begin(record_id))

    async def advance(self, other: "End") -> Hop | None:
        """Goes on by one level, and gives back the step onto the front of the other end if there is one.

        Where there are too many to step on, the front stays as it is: the other end may still come to it.
        """
        room = MAX_NODES - len(other.walk.pipelines)
        try:
            hops = await self.walk.step(self.front, ANY, self.reach, far=other.front, room=room)
        except TooMany:
            self.wide = True
            return None
        met = min((hop for hop in hops.values() if hop.met), key=lambda hop: hop.id, default=None)
        self._before |= {hop.id: hop.via for hop in hops.values()}
        self.front = list(hops)
        self.depth += 1
        return met

    def back(self, record_id: UUID) -> list[UUID]:
        """The records from one that was come to back to where this end began."""
        found = [record_id]
        while (before := self._before.get(found[-1])) is not None:
            found.append(before)
        return found


async def shortest_path(caller: Caller, start: UUID, goal: UUID) -> Way | None:
    """The shortest way of at most six steps, by any type in both directions; null where there is none."""

    async def work() -> Way | None:
        async with caller.reads.tenant(caller.tenant_id, walks.BOUNDS) as connection:
            for _ in range(MAX_SEARCHES):
                ends = await End.at(caller, connection, start), await End.at(caller, connection, goal)
                ids = await _search(*ends)
                way = await _way(ends[0].walk, ids) if ids else None
                if way is None or len(way.bodies) == len(way.relationships) + 1 == len(ids):
                    return way
        raise Unavailable("The relationships change faster than they can be followed")

    return await caller.warmed(work)


async def _search(one: End, other: End) -> list[UUID]:
    """The records of the way, none if there is no way."""
    if one.front == other.front:
        return one.front
    while one.depth + other.depth < MAX_DEPTH and one.front and other.front:
        narrow = [end for end in (one, other) if not end.wide]
        if not narrow:
            raise TooMany
        end = min(narrow, key=lambda end: (len(end.front), end.depth))
        if (met := await end.advance(other if end is one else one)) is not None:
            one.walk.pipelines |= other.walk.pipelines
            return one.back(met.id)[::-1] + other.back(met.id)[1:]
    return []


async def _way(walk: Walk, ids: Sequence[UUID]) -> Way:
    found = await edges.between(walk.connection, walk.caller.tenant_id, ids, walk.masks)
    return Way(list((await walk.bodies(ids)).values()), found)

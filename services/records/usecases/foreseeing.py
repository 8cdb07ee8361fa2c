"""What a change of a definition would do to records: how many it concerns, how many would not fit, and which."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec

from libs.common.errors import NotFound
from libs.common.postgres import Connection
from services.records.domain.checks import compile_check
from services.records.domain.definitions import Field
from services.records.domain.evolution import blank, converted
from services.records.domain.permissions import Access
from services.records.domain.pipelines import unique_key
from services.records.domain.values import Check, Wrong
from services.records.storage import evolutions, records
from services.records.usecases.caller import Caller

BATCH = 1000
MOST = 200_000
SECONDS = 8.0
MAX_SAMPLES = 5

JUDGING = frozenset({"keep", "convert", "fill", "unique"})

Effect: TypeAlias = Literal["none", "keep", "convert", "fill", "unique", "compute"]


class Proposal(msgspec.Struct, frozen=True):
    """One change. `effect` is what it comes to for values, which are found under `name` until now; `field` is new."""

    name: str
    effect: Effect
    field: Field


class Sample(msgspec.Struct, frozen=True):
    """A record that would not fit: its value now, and why."""

    record_id: UUID
    title: str
    value: Any
    detail: str


class Foreseen(msgspec.Struct, frozen=True):
    """How many records have a value that a change concerns, and how many of these would not fit; null where the caller
    may not read the field in every record, and so is not told what it holds.
    """

    records_affected: int | None
    records_failing: int | None
    samples: list[Sample]


class Forecast(msgspec.Struct, frozen=True):
    """What proposals would do, in their order; `estimated` where not all records were looked at."""

    changes: list[Foreseen]
    records: int
    estimated: bool


class _Tally:
    """Counts what one proposal would do."""

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.affected = 0
        self.failing = 0
        self.failed: list[tuple[UUID, str]] = []
        self._check: Check = compile_check(proposal.field)
        self._seen: dict[int, UUID] = {}

    def look(self, record_id: UUID, value: object) -> None:
        """Takes a record's value into account."""
        lacking = blank(value)
        self.affected += self.proposal.effect == "compute" or lacking == (self.proposal.effect == "fill")
        if (why := self._fault(record_id, value, lacking)) is not None:
            self.failing += 1
            if len(self.failed) < 10 * MAX_SAMPLES:
                self.failed.append((record_id, why))

    def _fault(self, record_id: UUID, value: object, lacking: bool) -> str | None:
        field = self.proposal.field
        match self.proposal.effect:
            case "fill":
                return "There is no value, and no default" if lacking and field.default is None else None
            case "keep" | "convert" if not lacking:
                try:
                    (self._check if self.proposal.effect == "keep" else self._convert)(value)
                except Wrong as wrong:
                    return wrong.detail
            case "unique" if not lacking:
                return self._again(record_id, value)
        return None

    def _convert(self, value: object) -> object:
        return converted(self.proposal.field, value)

    def _again(self, record_id: UUID, value: object) -> str | None:
        try:
            key = hash(unique_key(self.proposal.field, converted(self.proposal.field, value)))
        except Wrong:
            return None
        first = self._seen.setdefault(key, record_id)
        return None if first == record_id else "An older record has the same value"


async def foresee(caller: Caller, pipeline_id: UUID, proposals: list[Proposal]) -> Forecast:
    """Looks at all records, in short statements, until it has seen so many or so much time is gone."""
    tallies = [_Tally(proposal) for proposal in proposals]
    names = sorted({proposal.name for proposal in proposals})
    seen, after, more, until = 0, UUID(int=0), True, time.monotonic() + SECONDS
    while more and names and seen < MOST and time.monotonic() < until:
        async with caller.database.tenant(caller.tenant_id) as connection:
            rows = await evolutions.values(connection, caller.tenant_id, pipeline_id, names, after, BATCH)
        for record_id, values in rows:
            for tally in tallies:
                tally.look(record_id, values.get(tally.proposal.name))
        seen, more = seen + len(rows), len(rows) == BATCH
        after = rows[-1][0] if rows else after
        await asyncio.sleep(0)
    return await _forecast(caller, pipeline_id, tallies, seen, exact=not (more and names))


async def _forecast(caller: Caller, pipeline_id: UUID, tallies: list[_Tally], seen: int, *, exact: bool) -> Forecast:
    async with caller.database.tenant(caller.tenant_id) as connection:
        total = seen if exact else await evolutions.live(connection, caller.tenant_id, pipeline_id)
    share = 1.0 if exact or not seen else max(1.0, total / seen)
    access, hidden = await _access(caller, pipeline_id, {tally.proposal.name for tally in tallies})
    async with caller.database.tenant(caller.tenant_id) as connection:
        changes = [
            Foreseen(
                *_counts(tally, share, hidden=tally.proposal.name in hidden),
                await _samples(caller, connection, access, tally) if access is not None else [],
            )
            for tally in tallies
        ]
    return Forecast(changes, total, not exact)


def _counts(tally: _Tally, share: float, *, hidden: bool) -> tuple[int | None, int | None]:
    if not hidden or tally.proposal.effect == "compute":
        return round(tally.affected * share), round(tally.failing * share)
    return None, None if tally.proposal.effect in JUDGING else 0


async def _access(caller: Caller, pipeline_id: UUID, names: set[str]) -> tuple[Access | None, set[str]]:
    """What the caller may read, and which of the fields that records have not in every record."""
    try:
        access = (await caller.reach(pipeline_id)).access("read")
    except NotFound:
        return None, names
    there = names & access.pipeline.fields.keys()
    return (access if access.alternatives else None), {name for name in there if not access.always(name)}


async def _samples(caller: Caller, connection: Connection, access: Access, tally: _Tally) -> list[Sample]:
    """Some that do not fit, of those that the caller may see, with what may be seen of them."""
    name = tally.proposal.name
    if not tally.failed or not access.names(name):
        return []
    ids = [record_id for record_id, _ in tally.failed]
    bodies = await records.bodies(connection, caller.tenant_id, ids, access, caller.context, frozenset((name,)))
    shown: list[Sample] = []
    for record_id, why in tally.failed:
        if record_id in bodies and len(shown) < MAX_SAMPLES:
            body = msgspec.json.decode(bodies[record_id][0], type=_Body)
            if name in body.data or tally.proposal.effect == "fill":
                shown.append(Sample(record_id, body.title, body.data.get(name), why))
    return shown


class _Body(msgspec.Struct):
    title: str
    data: Mapping[str, Any]

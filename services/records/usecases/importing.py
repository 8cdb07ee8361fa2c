"""A step of an import: some rows, written in one transaction with what became of them."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from libs.common.errors import Fault
from libs.common.postgres import Connection
from services.records.domain.definitions import Field
from services.records.domain.jobs import Job
from services.records.domain.operations import Create, Operation, Outcome, Upsert
from services.records.domain.reach import Reach
from services.records.domain.rows import RowShape, named, replaced
from services.records.domain.tables import Bad, Values
from services.records.storage import imports
from services.records.storage.imports import Refusal
from services.records.usecases.batch import faults_of
from services.records.usecases.caller import Caller
from services.records.usecases.people import Strangers
from services.records.usecases.rehearsing import MAX_CLAIMS, Rehearsal, rehearse
from services.records.usecases.running import Steps
from services.records.usecases.writing import MAX_WAVES, Writer

MAX_REFUSED_BYTES = 16 * 1024 * 1024
"""How much of the rows that it refused is kept of an import, at the most."""
REPORTS = 50
"""Of how many imports of a tenant refused rows are kept."""

Numbered = tuple[int, Values | Bad]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What an import is asked for besides the file."""

    mapping: dict[str, str | None] | None = None
    upsert_by: str | None = None
    dry_run: bool = False


class Chunk:
    """Some rows, written in one step."""

    def __init__(self, job: Job, given: Options, shape: RowShape, rows: Sequence[Numbered]) -> None:
        self._job = job
        self._given = given
        self._last = rows[-1][0]
        self._cells = dict(rows)
        self._bad = {n: [Fault("", row.code, row.detail)] for n, row in rows if isinstance(row, Bad)}
        self._data = {n: shape.data(row) for n, row in rows if not isinstance(row, Bad)}

    async def write(self, step: Steps) -> None:
        """Writes the rows, and what became of them."""
        caller = await step.caller()
        assert self._job.pipeline_id is not None
        reach = await caller.reach(self._job.pipeline_id)
        await caller.warmed(lambda: self._once(caller, reach, step))

    async def _once(self, caller: Caller, reach: Reach, step: Steps) -> None:
        async with step() as now:
            if self._given.upsert_by:
                await imports.take_turn(now.connection, caller.tenant_id, reach.pipeline.id)
            data, refusals = await _related(caller, reach, now.connection, self._data)
            outcomes = dict(zip(data, await self._write(caller, reach, now.connection, data), strict=True))
            place = {**step.job.checkpoint, "row": self._last}
            rehearsal = await self._rehearse(reach, now.connection, outcomes, place)
            refusals |= rehearsal.refused
            created = updated = 0
            for number, outcome in outcomes.items():
                if outcome.error is not None:
                    refusals[number] = faults_of(outcome.error)
                elif number in rehearsal.refused:
                    continue
                elif outcome.status == "created" and number not in rehearsal.updated:
                    created += 1
                else:
                    updated += 1
            refused = [(number, _cells(self._cells[number]), it) for number, it in {**self._bad, **refusals}.items()]
            await self._refuse(now.connection, sorted(refused, key=itemgetter(0)), place)
            now.advance(place, done=len(self._cells), created=created, updated=updated, refused=len(refused))

    async def _write(
        self, caller: Caller, reach: Reach, connection: Connection, data: Mapping[int, dict[str, object]]
    ) -> list[Outcome]:
        by = self._given.upsert_by
        operations: list[Operation] = [Upsert(by, it) if by else Create(it) for it in data.values()]
        if self._given.dry_run:
            await connection.execute("savepoint dry")
        outcomes: list[Outcome] = []
        # However often rows of a run name the same record, there are waves enough for them, and one that is done again.
        size = MAX_WAVES - 1 if by else len(operations) or 1
        for begin in range(0, len(operations), size):
            writer = Writer(caller, reach, connection)
            outcomes += await writer.run(operations[begin : begin + size], atomic=False)
        if self._given.dry_run:
            await connection.execute("rollback to savepoint dry")
        return outcomes

    async def _refuse(self, connection: Connection, refused: Sequence[Refusal], place: dict[str, Any]) -> None:
        tenant_id, used = self._job.principal.tenant_id, place.get("kept", 0)
        if refused and not used:
            await imports.let_go(connection, tenant_id, REPORTS)
        room = MAX_REFUSED_BYTES - used
        place["kept"] = used + await imports.refuse(connection, tenant_id, self._job.id, refused, room)

    async def _rehearse(
        self, reach: Reach, connection: Connection, outcomes: Mapping[int, Outcome], place: dict[str, Any]
    ) -> Rehearsal:
        """Of a dry run, what becomes of the rows when those of earlier steps are taken into account."""
        if not self._given.dry_run:
            return Rehearsal()
        tenant_id, by, claimed = self._job.principal.tenant_id, self._given.upsert_by, place.get("claimed", 0)
        room = MAX_CLAIMS - claimed
        found = await rehearse(connection, tenant_id, self._job.id, reach.pipeline, by, outcomes, room)
        place["claimed"] = claimed + len(found.claimed)
        return found


def _cells(row: Values | Bad) -> dict[str, object]:
    if isinstance(row, Bad):
        return {"": row.text}
    return {
        column: cell if isinstance(cell, str | int | float | bool | list | dict) else _shown(cell)
        for column, cell in row.items()
    }


def _shown(cell: object) -> str | None:
    return None if cell is None else str(cell)


async def _related(
    caller: Caller, reach: Reach, connection: Connection, rows: Mapping[int, dict[str, object]]
) -> tuple[dict[int, dict[str, object]], dict[int, list[Fault]]]:
    """The rows with the ids of the records and users that they name, and the faults of those that name nothing."""
    naming = (*reach.pipeline.relations, *reach.pipeline.users)
    if not naming:
        return dict(rows), {}
    data = {number: dict(row) for number, row in rows.items()}
    faults: dict[int, list[Fault]] = {}
    for field in naming:
        names = {name for row in data.values() for name in named(field, row)}
        ids = await _ids(caller, reach, connection, field, names) if names else {}
        for number, row in data.items() if names else ():
            if missing := replaced(field, row, ids):
                details = (f"Not exactly one goes by the name '{name}'" for name in missing)
                faults[number] = [Fault(f"/data/{field.name}", "not_found", detail) for detail in details]
    return {number: row for number, row in data.items() if number not in faults}, faults


async def _ids(caller: Caller, reach: Reach, connection: Connection, field: Field, names: set[str]) -> dict[str, str]:
    if field.type == "user":
        found = await imports.users_by_name(connection, caller.tenant_id, names)
        if strangers := caller.met.unasked(names - found.keys()):
            raise Strangers(names=strangers)
        return found | caller.met.by_name(names - found.keys())
    target = field.target_pipeline
    if target is None or not reach.leads_to(target):
        return {}
    access = reach.access("read", target)
    title = access.pipeline.title_fields
    by = field.display_field or (next(iter(title)) if len(title) == 1 else None)
    if by is None or not access.names(by):
        return {}
    return await imports.by_name(connection, caller.tenant_id, access, caller.context, by, names)

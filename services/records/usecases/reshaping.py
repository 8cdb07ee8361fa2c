"""Brings records along with their definition, within a transaction in which they are locked."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.common import outbox
from libs.common.events import NewEvent
from libs.common.identity import Principal
from libs.common.postgres import Connection
from services.records.domain.definitions import HIDDEN, By, Pending
from services.records.domain.evolution import Reshaped, parted, reshaped
from services.records.domain.fields import differing
from services.records.domain.operations import field_edge, related_ids
from services.records.domain.pipelines import Pipeline
from services.records.domain.records import Change, Edge, Record, advanced
from services.records.storage import edges, evolutions, records
from services.records.storage.records import Locked
from services.records.usecases import deriving, searching
from services.records.usecases.heavy import Heavy


class Reshaping:
    """Does what jobs have still to do to records of a pipeline, to some of them.

    Names that move leave a record's version as it is: the pipeline's says it. Values that are converted or filled in
    are a change of the record as any other, made by who changed the definition.
    """

    def __init__(self, connection: Connection, tenant_id: UUID, pipeline: Pipeline, at: datetime, heavy: Heavy) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._pipeline = pipeline
        self._at = at
        self._heavy = heavy
        self.changes: list[Change] = []
        """What was changed in records that are not in the trash, for others to follow."""

    async def bring(self, rows: Sequence[Locked], only: UUID | None = None) -> int:
        """Brings locked records along, in all respects or in those of one job; how many were changed."""
        if not rows:
            return 0
        changed = 0
        for pending in self._pipeline.definition.pending:
            if only is None or pending.job_id == only:
                changed += await self._follow(pending, rows)
                if only is None and changed:
                    rows = await evolutions.lock(self._connection, self._tenant_id, [row.id for row in rows])
        return changed

    async def _follow(self, pending: Pending, rows: Sequence[Locked]) -> int:
        ids = [row.id for row in rows]
        keys = [move.old for move in pending.moves if HIDDEN in move.old]
        back = await self._take_back(pending, keys, ids) if keys else {}
        kept: list[tuple[str, UUID, object]] = []
        shaped: list[tuple[UUID, str, dict[str, object]]] = []
        changes: list[Change] = []
        befores = [row.record() for row in rows]
        founds = [reshaped(self._pipeline, pending, it.data, back.get(it.id, {})) for it in befores]
        if pending.computes:
            founds = await self._computed(ids, founds)
        for row, before, found in zip(rows, befores, founds, strict=True):
            kept += [(key, row.id, value) for key, value in found.kept.items()]
            title = self._pipeline.title(found.data)
            if found.changed:
                changes.append(self._change(pending, before, found, title))
            elif found.moved or title != before.title:
                shaped.append((row.id, title, found.data))
        await evolutions.keep(self._connection, self._tenant_id, self._pipeline.id, kept)
        await evolutions.shape(self._connection, self._tenant_id, shaped)
        dead = {row.id for row in rows if row.deleted}
        moved = [(it, title, data) for it, title, data in shaped if it not in dead]
        await searching.keep_moved(self._connection, self._tenant_id, self._pipeline, moved)
        await self._write(pending, changes, [row for row in rows if row.deleted])
        if pending.moves:
            now = [*((row[0], row[2]) for row in shaped), *((c.after.id, c.after.data) for c in changes)]
            await self._move(pending, ids, now)
        return len(shaped) + len(changes)

    async def _computed(self, ids: list[UUID], founds: list[Reshaped]) -> list[Reshaped]:
        """All computed values anew."""
        computing = self._pipeline.computing
        if computing is None:
            return founds
        rows = list(zip(ids, (found.data for found in founds), strict=True))
        values = await deriving.across(
            self._connection, self._tenant_id, computing.across, rows, self._pipeline, self._heavy
        )
        made: list[Reshaped] = []
        for record_id, found in zip(ids, founds, strict=True):
            data = deriving.with_values(self._pipeline, found.data, values[record_id])
            changed = tuple(sorted({*found.changed, *differing(found.data, data)}))
            made.append(Reshaped(data, found.kept, found.moved, changed))
        return made

    async def _take_back(self, pending: Pending, keys: list[str], ids: list[UUID]) -> dict[UUID, dict[str, object]]:
        """What comes out of the trash, by record and key; without records that are gone for good."""
        back = await evolutions.take_back(self._connection, self._tenant_id, self._pipeline.id, keys, ids)
        for move in pending.moves:
            field = self._pipeline.fields.get(move.new)
            if move.old in keys and field is not None and field.type == "relation":
                held = {UUID(it) for found in back.values() for it in related_ids(found.get(move.old))}
                known = await records.places(self._connection, self._tenant_id, held)
                gone = {str(it) for it in held - {place.id for place in known}}
                for found in back.values():
                    if gone & set(related_ids(found.get(move.old))):
                        found[move.old] = parted(found[move.old], gone)
        return back

    def _change(self, pending: Pending, before: Record, found: Reshaped, title: str) -> Change:
        names = {move.new: move.old for move in pending.moves}
        known = {name: value for name, value in before.data.items() if name in self._pipeline.fields}
        known |= {new: before.data[old] for new, old in names.items() if old in before.data and HIDDEN not in new}
        after = advanced(before, found.data, title, pending.by.id, self._at)
        old = Record(**{name: getattr(before, name) for name in before.__struct_fields__} | {"data": known})
        return Change("updated", after, list(found.changed), old)

    async def _write(self, pending: Pending, changes: list[Change], trashed: list[Locked]) -> None:
        by = principal(self._tenant_id, pending.by)
        gone = {row.id for row in trashed}
        live = [change for change in changes if change.after.id not in gone]
        self.changes += live
        await records.advance(self._connection, by, self._at, live)
        await searching.keep(self._connection, self._tenant_id, self._pipeline, live)
        dead = [(c.after.id, c.after.title, c.after.data) for c in changes if c.after.id in gone]
        await evolutions.shape(self._connection, self._tenant_id, dead)
        await self._tell([change.event(by) for change in live])

    async def _move(self, pending: Pending, ids: list[UUID], data: Sequence[tuple[UUID, dict[str, object]]]) -> None:
        tenant_id, pipeline_id, connection = self._tenant_id, self._pipeline.id, self._connection
        for move in pending.moves:
            if HIDDEN in move.old:
                await evolutions.take_back_history(connection, tenant_id, pipeline_id, ids, move.old, move.new)
                await self._link(pending, move.new, data)
            elif HIDDEN in move.new:
                await evolutions.keep_history(connection, tenant_id, pipeline_id, ids, move.old, move.new)
                cut = await evolutions.cut_edges(connection, tenant_id, ids, move.old)
                await self._tell([edge.event("deleted") for edge in cut])
            else:
                await evolutions.rename_history(connection, tenant_id, ids, move.old, move.new)
                await evolutions.rename_edges(connection, tenant_id, ids, move.old, move.new)

    async def _link(self, pending: Pending, name: str, data: Sequence[tuple[UUID, dict[str, object]]]) -> None:
        """Makes the relationships of a relation field that is back, to those of its records that are there still."""
        field = self._pipeline.fields.get(name)
        if field is None or field.type != "relation" or field.target_pipeline is None:
            return
        wanted: list[Edge] = []
        targets = {UUID(it) for _, found in data for it in related_ids(found.get(name))}
        there = {it.id for it in await records.places(self._connection, self._tenant_id, targets)}
        for record_id, found in data:
            record = Record(record_id, self._pipeline.id, 0, "", {}, "", record_id, "", record_id)
            ids = [it for it in related_ids(found.get(name)) if UUID(it) in there]
            wanted += [field_edge(record, field, it) for it in ids]
        by = principal(self._tenant_id, pending.by)
        made = await edges.insert(self._connection, by, self._at, wanted)
        await self._tell([edge.event("created") for edge in wanted if edge.id in made])

    async def _tell(self, events: list[NewEvent]) -> None:
        await outbox.record(self._connection, self._tenant_id, events)


def principal(tenant_id: UUID, by: By) -> Principal:
    """Who changed a definition, as the maker of what follows from it."""
    return Principal(
        tenant_id=tenant_id, id=by.id, kind=by.kind, session_id=by.id, name=by.name, roles=by.roles, issued_at=0,
        expires_at=0,
    )  # fmt: skip

"""Make one record of several that mean the same, and part them again.

Sources go into the trash with their relationships, which leave room there; the target gets ones of its own in their
place, and those who held a source by a relation field hold the target. So undoing takes away and gives back, and
changes nothing that came later: where something later is in the way, it says so and does nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from libs.common import outbox
from libs.common.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from libs.common.ids import new_id
from services.records.domain.operations import Update, related_ids
from services.records.domain.reach import RESOURCE, Reach
from services.records.domain.records import Change, Edge, Merging, Record, actor_of, advanced, merged
from services.records.storage import edges, files, history, merging, records, uniques
from services.records.storage.files import Use
from services.records.storage.merging import MergeRow
from services.records.storage.records import Locked
from services.records.usecases.batch import faults_of
from services.records.usecases.caller import Caller
from services.records.usecases.trash import restored
from services.records.usecases.writing import Writer

MAX_SOURCES = 20
MAX_EDGES = 10_000
COMPUTED = ("auto_number", "formula", "lookup", "rollup", "button")


class Held(msgspec.Struct, frozen=True):
    """A record whose relation field held a source and holds the target from a version on."""

    id: UUID
    field: str
    old: Any
    new: Any
    version: int


class Undo(msgspec.Struct, frozen=True):
    """What a merge did: trashed sources with their versions, old values of the target, relationships made, holders."""

    sources: dict[UUID, int]
    values: dict[str, Any]
    made: list[UUID]
    held: list[Held]


class Merged(msgspec.Struct, frozen=True):
    """A merge: its id, by which it can be undone, and the records."""

    id: UUID
    target: UUID
    sources: list[UUID]
    version: int


async def merge(caller: Caller, target: UUID, sources: Sequence[UUID], picks: Mapping[str, UUID]) -> Merged:
    """One record of several. A field has the value of the record that `picks` names, else the target's, else the first
    of the sources' that has one.
    """
    pipeline_id = await _pipeline(caller, target)
    _check(target, sources, picks)

    async def work(reach: Reach) -> Merged:
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            rows = await writer.lock([target, *sources])
            into = writer.present(rows, target)
            gone = [writer.present(rows, source) for source in sources]
            if not all(writer.delete.holds(row.deletes) and writer.delete.alternatives for row in gone):
                raise Forbidden("No grant allows all of these records to be merged into another")
            around = await merging.edges_of(connection, caller.tenant_id, sources, MAX_EDGES + 1)
            if len(around) > MAX_EDGES:
                raise Conflict(f"More than {MAX_EDGES} relationships would move", code="too-many-relationships")
            return await _merge(writer, into, gone, around, _patch(writer, into, gone, picks))

    return await caller.settled(pipeline_id, work)


async def _merge(
    writer: Writer, into: Locked, gone: Sequence[Locked], around: Sequence[Edge], patch: Mapping[str, object]
) -> Merged:
    connection, tenant_id, by, at = writer.connection, writer.tenant_id, writer.caller.principal, writer.caller.now
    trashed = [writer.trashing(row) for row in gone]
    ids = [row.id for row in gone]
    await uniques.release_records(connection, tenant_id, ids)
    await records.advance(connection, by, at, trashed)
    await edges.park(connection, tenant_id, ids)
    writer.announce(trashed, [], [])
    before = into.record()
    await files.use(connection, tenant_id, _files(writer, into, patch))
    outcome = await writer.one(Update(into.id, patch))
    assert outcome.record is not None
    made = [edge for it in around if not it.field and (edge := _moved(it, set(ids), before)) is not None]
    kept = await edges.insert(connection, by, at, made)
    made = [edge for edge in made if edge.id in kept]
    held = await _hold(writer, [e for e in around if e.field and e.target_id in ids and e.source_id not in ids], before)
    writer.announce([], made, [])
    await writer.publish()
    merge_id = new_id()
    values = {name: before.data.get(name) for name in patch if before.data.get(name) != outcome.record.data.get(name)}
    undo = Undo({c.after.id: c.after.version for c in trashed}, values, [edge.id for edge in made], held)
    versions = before.version, outcome.record.version
    await merging.keep(connection, by, at, merge_id, into.id, into.pipeline_id, versions, undo)
    told = Merging(merge_id, into.pipeline_id, into.id, ids, actor_of(by))
    await outbox.record(connection, tenant_id, [merged("created", told)])
    return Merged(merge_id, into.id, ids, outcome.record.version)


def _patch(writer: Writer, into: Locked, gone: Sequence[Locked], picks: Mapping[str, UUID]) -> dict[str, object]:
    """What of the sources the target takes over: only what may be read there."""
    shown = {row.id: _shown(writer, row) for row in (into, *gone)}
    unknown = [name for name in picks if not writer.read.names(name)]
    if unknown:
        raise Invalid(errors=[Fault(f"/fields/{n}", "unknown_field", f"There is no field '{n}'") for n in unknown])
    patch: dict[str, object] = {}
    for name, field in writer.pipeline.fields.items():
        if field.type in COMPUTED:
            continue
        if name in picks:
            patch[name] = shown[picks[name]].get(name)
        elif into.id in shown and name not in into.record().data:
            value = next((data[name] for row in gone if name in (data := shown[row.id])), None)
            patch |= {} if value is None else {name: value}
    return {name: _apart(value, shown.keys()) for name, value in patch.items()}


def _files(writer: Writer, into: Locked, patch: Mapping[str, object]) -> list[Use]:
    """The target holds from now on the files that it takes over, which the caller saw in the sources."""
    names = (name for name in patch if writer.pipeline.fields[name].type == "file")
    return [Use(UUID(held), into.id, name) for name in names for held in related_ids(patch[name])]


def _shown(writer: Writer, row: Locked) -> dict[str, Any]:
    readable = writer.read.readable_of(row.reads)
    return {name: v for name, v in row.record().data.items() if readable is None or name in readable}


def _apart(value: object, merged: Any) -> object:
    """A value without relations among the records that become one."""
    ids = {str(record_id) for record_id in merged}
    if isinstance(value, list):
        return [item for item in value if item not in ids]
    return None if isinstance(value, str) and value in ids else value


def _moved(edge: Edge, sources: set[UUID], target: Record) -> Edge | None:
    """The target's own in place of a source's; none between records that become one."""
    ends = {
        "source_id": target.id if edge.source_id in sources else edge.source_id,
        "target_id": target.id if edge.target_id in sources else edge.target_id,
    }
    if ends["source_id"] == ends["target_id"]:
        return None
    return msgspec.structs.replace(edge, id=new_id(), **ends)


async def _hold(writer: Writer, around: Sequence[Edge], target: Record) -> list[Held]:
    """Lets those who held sources by relation fields hold the target, as deleting lets them let go."""
    connection, tenant_id, by, at = writer.connection, writer.tenant_id, writer.caller.principal, writer.caller.now
    rows = await records.lock_any(connection, tenant_id, sorted({edge.source_id for edge in around}))
    changes: list[Change] = []
    held: list[Held] = []
    for row in rows.values():
        own = [edge for edge in around if edge.source_id == row.id]
        before = row.record()
        data = dict(before.data)
        for name in dict.fromkeys(edge.field for edge in own):
            old = {str(edge.target_id) for edge in own if edge.field == name}
            data[name] = _replaced(data.get(name), old, str(target.id))
            held.append(Held(row.id, name, before.data.get(name), data[name], before.version + 1))
        after = advanced(before, data, before.title, by.id, at)
        changes.append(Change("updated", after, sorted({edge.field for edge in own}), before))
    await records.advance(connection, by, at, changes)
    gone = await edges.delete_of_fields(connection, tenant_id, [(e.source_id, e.field, e.target_id) for e in around])
    moved = [msgspec.structs.replace(edge, id=new_id(), target_id=target.id) for edge in around]
    kept = await edges.insert(connection, by, at, moved)
    writer.announce(changes, [edge for edge in moved if edge.id in kept], gone)
    return held


def _replaced(value: object, old: set[str], new: str) -> object:
    if isinstance(value, list):
        return list(dict.fromkeys(new if item in old else item for item in value))
    return new if value in old else value


async def undo(caller: Caller, merge_id: UUID) -> Merged:
    """Parts what was merged; `Conflict` with the reasons where something later is in the way."""
    async with caller.database.tenant(caller.tenant_id) as connection:
        row = await merging.take(connection, caller.tenant_id, merge_id)
    if row is None or not (row.merged_by == caller.principal.id or caller.permissions.allow("manage", RESOURCE)):
        raise NotFound("There is no such merge")

    async def work(reach: Reach) -> Merged:
        async with caller.database.tenant(caller.tenant_id) as connection:
            taken = await merging.take(connection, caller.tenant_id, merge_id)
            if taken is None or taken.undone:
                raise Conflict("The merge was undone before", code="merge-undone")
            return await _undo(Writer(caller, reach, connection), taken)

    return await caller.settled(row.pipeline_id, work)


async def _undo(writer: Writer, row: MergeRow) -> Merged:
    did = msgspec.json.decode(row.undo, type=Undo)
    rows = await writer.lock([row.target_id, *did.sources])
    others = await records.lock_any(writer.connection, writer.tenant_id, sorted({it.id for it in did.held}))
    reasons = await _in_the_way(writer, row, did, rows, others)
    if reasons:
        raise Conflict("Something that came later is in the way", code="merge-collides", errors=reasons)
    gone = await edges.delete(writer.connection, writer.tenant_id, did.made)
    writer.announce([], [], gone)
    version = rows[row.target_id].version
    try:
        if did.values:
            outcome = await writer.one(Update(row.target_id, did.values))
            assert outcome.record is not None
            version = outcome.record.version
        for source in did.sources:
            await restored(writer, rows[source])
    except (Invalid, Conflict) as error:
        raise Conflict(
            "Something that came later is in the way", code="merge-collides", errors=faults_of(error)
        ) from error
    others = await records.lock_any(writer.connection, writer.tenant_id, sorted({it.id for it in did.held}))
    await _let_go(writer, did, others, row.target_id)
    await writer.publish()
    await merging.undone(writer.connection, writer.tenant_id, row.id, writer.caller.now)
    told = Merging(row.id, row.pipeline_id, row.target_id, list(did.sources), actor_of(writer.caller.principal))
    await outbox.record(writer.connection, writer.tenant_id, [merged("undone", told)])
    return Merged(row.id, row.target_id, list(did.sources), version)


async def _in_the_way(
    writer: Writer, row: MergeRow, did: Undo, rows: Mapping[UUID, Locked], others: Mapping[UUID, Locked]
) -> list[Fault]:
    faults: list[Fault] = []
    target = rows.get(row.target_id)
    if target is None or target.deleted or not writer.read.holds(target.reads):
        return [Fault("/target", "gone", "The record that the others were merged into is not there any more")]
    since = await history.changes_since(writer.connection, writer.tenant_id, row.target_id, row.after_version)
    changed = [name for name in did.values if name in since]
    faults += [Fault(f"/target/data/{n}", "changed", f"'{n}' was changed after the merge") for n in changed]
    for source, version in did.sources.items():
        if source not in rows or not rows[source].deleted or rows[source].version != version:
            faults.append(Fault(f"/sources/{source}", "changed", "The record is not as the merge left it"))
    for it in did.held:
        other = others.get(it.id)
        if other is not None and not other.deleted and other.record().data.get(it.field) != it.new:
            faults.append(
                Fault(f"/holders/{it.id}/data/{it.field}", "changed", "The relation was changed after the merge")
            )
    return faults


async def _let_go(writer: Writer, did: Undo, others: Mapping[UUID, Locked], target: UUID) -> None:
    """Gives holders back what they held."""
    connection, by, at = writer.connection, writer.caller.principal, writer.caller.now
    changes: list[Change] = []
    made: list[Edge] = []
    lost: list[edges.FieldEnd] = []
    known = {
        (e.source_id, e.field): e for e in await merging.edges_of(connection, writer.tenant_id, [target], MAX_EDGES)
    }
    for row in others.values():
        own = [it for it in did.held if it.id == row.id]
        if row.deleted:
            continue
        before = row.record()
        data = {**before.data, **{it.field: it.old for it in own}}
        after = advanced(before, data, before.title, by.id, at)
        changes.append(Change("updated", after, sorted(it.field for it in own), before))
        for it in own:
            edge = known.get((it.id, it.field))
            if edge is not None:
                lost.append((row.id, it.field, target))
                made += [msgspec.structs.replace(edge, id=new_id(), target_id=UUID(old)) for old in _held_ids(it.old)]
    await records.advance(connection, by, at, changes)
    gone = await edges.delete_of_fields(connection, writer.tenant_id, lost)
    kept = await edges.insert(connection, by, at, made)
    writer.announce(changes, [edge for edge in made if edge.id in kept], gone)


def _held_ids(value: object) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]


async def _pipeline(caller: Caller, record_id: UUID) -> UUID:
    async with caller.database.tenant(caller.tenant_id) as connection:
        place = await records.place(connection, caller.tenant_id, record_id)
    if place is None or place.deleted:
        raise NotFound("There is no such record")
    return place.pipeline_id


def _check(target: UUID, sources: Sequence[UUID], picks: Mapping[str, UUID]) -> None:
    faults: list[Fault] = []
    if not 1 <= len(sources) <= MAX_SOURCES:
        faults.append(Fault("/sources", "out_of_range", f"From 1 to {MAX_SOURCES} records are merged into another"))
    if target in sources or len(set(sources)) < len(sources):
        faults.append(Fault("/sources", "repeated", "Each record is named once"))
    for name, record_id in picks.items():
        if record_id not in (target, *sources):
            faults.append(Fault(f"/fields/{name}", "not_merged", "The value is that of one of the records"))
    if faults:
        raise Invalid(errors=faults)

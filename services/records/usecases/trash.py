"""Put records into the trash, take them out, and take them away for good."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from libs.common import outbox
from libs.common.errors import Conflict, Forbidden, Invalid
from services.records.domain.operations import Delete
from services.records.domain.pipelines import unique_key
from services.records.domain.reach import Reach
from services.records.domain.records import Change, Edge, Record, actor_of, advanced, buried, stale
from services.records.storage import edges, evolutions, forgetting, records
from services.records.storage.records import Locked
from services.records.storage.uniques import Claim
from services.records.usecases.caller import Caller
from services.records.usecases.claiming import not_unique, take
from services.records.usecases.relating import holders
from services.records.usecases.writing import Writer


async def trash(caller: Caller, pipeline_id: UUID, record_id: UUID, version: int | None) -> None:
    """Puts a record into the trash, and with it what depends on it."""

    async def work(reach: Reach) -> None:
        async with caller.database.tenant(caller.tenant_id) as connection:
            await Writer(caller, reach, connection).one(Delete(record_id, version))

    await caller.settled(pipeline_id, work)


async def restore(caller: Caller, pipeline_id: UUID, record_id: UUID) -> tuple[Record | str, Record]:
    """Takes a record out of the trash; its unique values must still be free."""

    async def work(reach: Reach) -> tuple[Record | str, Record]:
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            after = await restored(writer, await _locked(writer, record_id, deleted=True))
            await writer.publish()
            return await writer.shown(after), after

    return await caller.settled(pipeline_id, work)


async def restored(writer: Writer, row: Locked) -> Record:
    """A locked record out of the trash; what is told of it waits with the writer."""
    _check_delete(writer, row)
    before = row.record()
    title = writer.pipeline.title(before.data)
    after = advanced(before, before.data, title, writer.caller.principal.id, writer.caller.now)
    change = Change("restored", after, [], before)
    if await writer.room(1) < 1:
        raise await writer.no_room()
    if taken := await take(writer, _claims(writer.reach, after)):
        raise Invalid(errors=[not_unique(name) for name, _ in sorted(taken)])
    await records.advance(writer.connection, writer.caller.principal, writer.caller.now, [change])
    if not await edges.unpark(writer.connection, writer.tenant_id, row.id):
        raise Conflict("Another record has taken the place of this one in a relationship", code="cardinality")
    writer.announce([change], [], [])
    return after


async def purge(caller: Caller, pipeline_id: UUID, record_id: UUID, version: int | None) -> None:
    """Takes a record away for good, from the trash or not; relation fields that hold it let go."""

    async def work(reach: Reach) -> None:
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            rows = await writer.lock([record_id])
            row = writer.present(rows, record_id, deleted=record_id in rows and rows[record_id].deleted)
            _check_delete(writer, row)
            if version is not None and version != row.version:
                raise stale(row.version)
            await _purge(writer, [record_id])

    await caller.settled(pipeline_id, work)


async def purge_trashed(caller: Caller, pipeline_id: UUID, ids: Sequence[UUID]) -> int:
    """Takes those of the records away for good that still are in the trash; how many went."""

    async def work(reach: Reach) -> int:
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            gone = [row.id for row in (await writer.lock(ids)).values() if row.deleted]
            await _purge(writer, gone)
            return len(gone)

    return await caller.settled(pipeline_id, work)


async def _locked(writer: Writer, record_id: UUID, *, deleted: bool) -> Locked:
    row = writer.present(await writer.lock([record_id]), record_id, deleted=deleted)
    _check_delete(writer, row)
    return row


def _check_delete(writer: Writer, row: Locked) -> None:
    if not writer.delete.holds(row.deletes):
        raise Forbidden("No grant allows this record to be deleted or restored")


async def _purge(writer: Writer, ids: Sequence[UUID]) -> None:
    connection, tenant_id = writer.connection, writer.tenant_id
    closure, restricted = await holders(writer, {record_id: index for index, record_id in enumerate(ids)})
    for edge in restricted.values():
        raise Conflict(f"Other records hold on to this one by '{edge.type}'", code="restricted")
    rows = await records.lock_any(connection, tenant_id, sorted(closure))
    unlinked = await _unlink(writer, await edges.held_fields(connection, tenant_id, closure))
    gone = await edges.delete_of_records(connection, tenant_id, closure)
    await records.purge(connection, tenant_id, closure)
    trashed = [writer.trashing(row) for row in rows.values() if not row.deleted]
    writer.announce([*unlinked, *trashed], [], gone)
    await writer.publish()
    await forgetting.bury(connection, tenant_id, rows, {row.pipeline_id for row in rows.values()})
    by = actor_of(writer.caller.principal)
    await outbox.record(connection, tenant_id, [buried(row.id, row.pipeline_id, by) for row in rows.values()])


async def _unlink(writer: Writer, held: list[Edge]) -> list[Change]:
    """Takes the records that go out of the relation fields that hold them, in the trash without a new version."""
    rows = await records.lock_any(writer.connection, writer.tenant_id, sorted({edge.source_id for edge in held}))
    lost: dict[UUID, dict[str, set[str]]] = {}
    for edge in held:
        lost.setdefault(edge.source_id, {}).setdefault(edge.field, set()).add(str(edge.target_id))
    changes = [_without(writer, row.record(), lost[row.id]) for row in rows.values() if not row.deleted]
    changes = [change for change in changes if change.changed]
    hidden = [_without(writer, row.record(), lost[row.id]) for row in rows.values() if row.deleted]
    shaped = [(change.after.id, change.after.title, change.after.data) for change in hidden]
    await evolutions.shape(writer.connection, writer.tenant_id, shaped)
    await records.advance(writer.connection, writer.caller.principal, writer.caller.now, changes)
    return changes


def _without(writer: Writer, before: Record, lost: Mapping[str, set[str]]) -> Change:
    data = dict(before.data)
    changed = [name for name, gone in lost.items() if without(data, name, gone)]
    after = advanced(before, data, before.title, writer.caller.principal.id, writer.caller.now)
    return Change("updated", after, changed, before)


def without(data: dict[str, object], name: str, gone: set[str]) -> bool:
    """Takes ids out of a relation field's value; whether there were any."""
    value = data.get(name)
    if isinstance(value, list) and gone & set(value):
        data[name] = [item for item in value if item not in gone]
        return True
    if value in gone:
        del data[name]
        return True
    return False


def _claims(reach: Reach, record: Record) -> list[Claim]:
    fields = [reach.pipeline.fields[name] for name in reach.pipeline.unique if name in record.data]
    return [(field.name, unique_key(field, record.data[field.name]), record.id) for field in fields]

"""Change a record: merge a patch, replace it, or set one field from a socket."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from libs.common.errors import Conflict, Fault, Invalid, NotFound
from services.records.domain.operations import Outcome, Update
from services.records.domain.reach import Reach
from services.records.domain.records import Record
from services.records.storage import records
from services.records.usecases.caller import Caller
from services.records.usecases.documents import OPERATION
from services.records.usecases.writing import Writer

MAX_OPERATION_ID = 128


async def update(caller: Caller, pipeline_id: UUID, operation: Update) -> tuple[Record | str, Outcome]:
    """The record after the change, as its writer may see it."""

    async def work(reach: Reach) -> tuple[Record | str, Outcome]:
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            outcome = await writer.one(operation)
            assert outcome.record is not None
            return await writer.shown(outcome.record), outcome

    return await caller.settled(pipeline_id, work)


class FieldUpdate(msgspec.Struct, frozen=True):
    """One field set to a value, by a client that last saw a version; its id makes repeating it harmless.

    `lock_token` is that of the lock which the client holds on the field, if it does.
    """

    record_id: UUID
    field: str
    value: Any
    operation_id: str
    base_version: int | None = None
    lock_token: int | None = None


class FieldUpdated(msgspec.Struct, frozen=True):
    """The version that a field update made, and the record then."""

    version: int
    event: Record


async def field_update(caller: Caller, asked: FieldUpdate) -> FieldUpdated:
    """Sets a field once per operation id."""
    if not 0 < len(asked.operation_id) <= MAX_OPERATION_ID:
        raise Invalid(errors=[Fault("/operation_id", "invalid_length", f"1 to {MAX_OPERATION_ID} characters")])
    if asked.operation_id.startswith(OPERATION):
        raise Invalid(errors=[Fault("/operation_id", "reserved", f"Ids with '{OPERATION}' are the platform's")])
    async with caller.database.tenant(caller.tenant_id) as connection:
        place = await records.place(connection, caller.tenant_id, asked.record_id)
    if place is None:
        raise NotFound("There is no such record")

    async def work(reach: Reach) -> FieldUpdated:
        return await _set(caller, reach, asked)

    return await caller.settled(place.pipeline_id, work)


async def _set(caller: Caller, reach: Reach, asked: FieldUpdate) -> FieldUpdated:
    by, operation_id = caller.principal, asked.operation_id
    async with caller.database.tenant(caller.tenant_id) as connection:
        writer = Writer(caller, reach, connection, operation_id)
        done = await records.begin_operation(connection, by, operation_id, asked.record_id, caller.now)
        if done is not None:
            return await _repeated(writer, asked, done)
        patch: Mapping[str, object] = {asked.field: asked.value}
        tokens = () if asked.lock_token is None else (asked.lock_token,)
        outcome = await writer.one(Update(asked.record_id, patch, asked.base_version, tokens=tokens))
        assert outcome.record is not None
        await records.finish_operation(connection, by, operation_id, outcome.record.version)
        return FieldUpdated(outcome.record.version, await visible(writer, outcome.record))


async def _repeated(writer: Writer, asked: FieldUpdate, done: tuple[UUID, int]) -> FieldUpdated:
    record_id, version = done
    if record_id != asked.record_id:
        raise Conflict("The operation id was used for another record", code="operation-id-reused")
    rows = await records.lock_any(writer.connection, writer.tenant_id, [record_id])
    row = rows.get(record_id)
    if row is None:
        raise NotFound("There is no such record")
    return FieldUpdated(version, await visible(writer, row.record()))


async def visible(writer: Writer, record: Record) -> Record:
    """A record as its writer may see it, decoded."""
    shown = await writer.shown(record)
    return shown if isinstance(shown, Record) else msgspec.json.decode(shown, type=Record)

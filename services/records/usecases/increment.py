"""Add to a number of a record, in one step."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from libs.common.clock import rfc3339
from libs.common.errors import Fault, Forbidden, Invalid, NotFound
from services.records.domain import fields
from services.records.domain.definitions import Field
from services.records.domain.pipelines import unique_key
from services.records.domain.reach import Reach
from services.records.domain.records import Change, Record
from services.records.domain.values import Wrong
from services.records.storage import records
from services.records.usecases import claiming, fencing
from services.records.usecases.caller import Caller
from services.records.usecases.writing import Writer


async def increment(
    caller: Caller, pipeline_id: UUID, record_id: UUID, field: str, by: int | float
) -> tuple[Record | str, Record]:
    """The record after it, as its writer may see it and as it is. A number that is not there counts from 0."""

    async def work(reach: Reach) -> tuple[Record | str, Record]:
        definition = _number(reach, field, by)
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            await writer.hold()
            if writer.pipeline.definition.pending or writer.followers:
                await writer.lock([record_id])
            change = await _add(writer, record_id, definition, by)
            writer.announce([change], [], [], fresh=True)
            await writer.publish()
            return await writer.shown(change.after), change.after

    return await caller.settled(pipeline_id, work)


def _number(reach: Reach, name: str, by: int | float) -> Field:
    reading = reach.access("read")
    field = reach.pipeline.fields.get(name) if reading.names(name) else None
    if field is None:
        raise Invalid(errors=[Fault("/field", "unknown_field", f"There is no field '{name}'")])
    if field.type != "number":
        raise Invalid(errors=[Fault("/field", "not_a_number", f"'{name}' is not a number")])
    unbounded = msgspec.structs.replace(field, min=None, max=None, step=None)
    _, faults = fields.checked(_single(reach, unbounded), {name: by})
    if faults:
        raise Invalid(errors=[Fault("/by", fault.code, fault.detail) for fault in faults])
    return field


def _single(reach: Reach, field: Field) -> Any:
    definition = msgspec.structs.replace(reach.pipeline.definition, fields=(field,))
    return type(reach.pipeline)(definition)


async def _add(writer: Writer, record_id: UUID, field: Field, by: int | float) -> Change:
    caller = writer.caller
    asked = (
        writer.connection, caller.principal, caller.now, record_id, field.name, Decimal(repr(by)),
        writer.read, writer.update, caller.context,
    )  # fmt: skip
    row = await records.increment(*asked)
    if row is None and await fencing.passed(writer, record_id, field.name):
        row = await records.increment(*asked, passed=True)
    if row is None:
        raise await _refusal(writer, record_id, field.name)
    change = _change(row, field.name, rfc3339(caller.now))
    _check(writer, field, change)
    if writer.pipeline.computing is not None:
        change = await _computed(writer, change)
    title = writer.pipeline.title(change.after.data)
    if title != change.after.title:
        await records.retitle(writer.connection, caller.tenant_id, record_id, title)
        change = msgspec.structs.replace(change, after=msgspec.structs.replace(change.after, title=title))
    if field.unique:
        await _move_claim(writer, field, change)
    return change


async def _computed(writer: Writer, change: Change) -> Change:
    """The change with what formulas make of the number."""
    before, data = change.before.data if change.before else {}, dict(change.after.data)
    fields.fill(writer.pipeline, data)
    made = msgspec.structs.replace(
        change, after=msgspec.structs.replace(change.after, data=data), changed=fields.differing(before, data)
    )
    if made.changed != change.changed:
        await records.amend(writer.connection, writer.tenant_id, made)
    return made


def _change(row: Any, field: str, at: str) -> Change:
    data = msgspec.json.decode(row["data"], type=dict[str, Any])
    made = row["created_at"], row["created_by"]
    after = Record(row["id"], row["pipeline_id"], row["version"], row["title"], data, *made, at, row["updated_by"])
    old = dict(data)
    old.pop(field)
    if row["old"] is not None:
        old[field] = msgspec.json.decode(row["old"])
    before = msgspec.structs.replace(after, data=old, version=after.version - 1)
    return Change("updated", after, [field], before)


def _check(writer: Writer, field: Field, change: Change) -> None:
    try:
        writer.pipeline.checks[field.name](change.after.data[field.name])
    except Wrong as wrong:
        raise Invalid(errors=[Fault("/by", wrong.code, wrong.detail)]) from None
    before = change.before.data if change.before else {}
    if broken := fields.ruled(writer.rules, before, change.after.data):
        raise Invalid(errors=broken)


async def _refusal(writer: Writer, record_id: UUID, field: str) -> Exception:
    caller = writer.caller
    seen = await records.visible(
        writer.connection, caller.tenant_id, [record_id], writer.read, caller.context, hold=False
    )
    if record_id not in seen:
        return NotFound("There is no such record")
    fault = Fault("/field", "not_writable", f"'{field}' may not be written")
    return Forbidden("This field may not be written", code="field-not-writable", errors=[fault])


async def _move_claim(writer: Writer, field: Field, change: Change) -> None:
    record = change.after
    old = [(field.name, unique_key(field, value), record.id) for value in change.old.values()]
    new = [(field.name, unique_key(field, record.data[field.name]), record.id)]
    await claiming.release(writer, old)
    if await claiming.take(writer, new):
        raise Invalid(errors=[claiming.not_unique(field.name)])

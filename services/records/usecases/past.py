"""Records as they once were, and back to that.

What may be seen is judged by the roles of now, on the record as it is and on the record as it was: both must pass.
"""

import re
from datetime import UTC, datetime
from uuid import UUID

from libs.common.clock import rfc3339
from libs.common.errors import Fault, Invalid, NotFound
from libs.common.postgres import Connection
from services.records.domain.evolution import shown_now
from services.records.domain.fields import Data, same
from services.records.domain.operations import Outcome, Update
from services.records.domain.permissions import Access, Fields
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.domain.records import Record
from services.records.storage import history
from services.records.storage.history import Present
from services.records.usecases.caller import Caller
from services.records.usecases.read import only_fields
from services.records.usecases.writing import Writer

GIVEN = ("auto_number", "formula", "lookup", "rollup", "button")
"""Fields of these types have the values that the platform gives them."""

_VERSION = re.compile(r"[0-9]{1,18}", re.ASCII)


def parse_moment(text: str) -> int | datetime:
    """The version or the time of `as_of`."""
    if _VERSION.fullmatch(text):
        return int(text)
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        detail = "'as_of' is a version or a time (RFC 3339)"
        raise Invalid(errors=[Fault("/as_of", "invalid_value", detail)]) from None


async def as_of(
    caller: Caller, pipeline_id: UUID, record_id: UUID, at: int | datetime, fields: str | None = None
) -> Record:
    """The record at a version or a time, as it may be seen; `NotFound` where it did not exist then."""

    async def work(reach: Reach) -> Record:
        access, only = reach.access("read"), only_fields(reach, fields)
        async with caller.database.tenant(caller.tenant_id) as connection:
            return await _then(connection, caller, access, record_id, at, only)

    return await caller.settled(pipeline_id, work)


async def revert(
    caller: Caller, pipeline_id: UUID, record_id: UUID, version: int, expected: int | None
) -> tuple[Record | str, Outcome]:
    """Gives the fields of a record the values they had at a version, as far as the caller may see these.

    It is a change as any other: what does not fit any more is named field by field.
    """

    async def work(reach: Reach) -> tuple[Record | str, Outcome]:
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection)
            row = writer.present(await writer.lock([record_id]), record_id)
            then = await _then(connection, caller, writer.read, record_id, version)
            readable = writer.read.readable_of(row.reads)
            now = {n: v for n, v in row.record().data.items() if readable is None or n in readable}
            patch = _back(reach.pipeline, now, then.data)
            outcome = await writer.one(Update(record_id, patch, expected, exact=expected is not None, whole=True))
            assert outcome.record is not None
            return await writer.shown(outcome.record), outcome

    return await caller.settled(pipeline_id, work)


def _back(pipeline: Pipeline, now: Data, then: Data) -> Data:
    names = [field.name for field in pipeline.fields.values() if field.type not in GIVEN]
    return {name: then.get(name) for name in names if not same(now.get(name), then.get(name))}


async def _then(
    connection: Connection,
    caller: Caller,
    access: Access,
    record_id: UUID,
    at: int | datetime,
    only: Fields = None,
) -> Record:
    present = await history.present(connection, caller.tenant_id, record_id, access, caller.context)
    if present is None or not access.holds(present.passes):
        raise NotFound("There is no such record")
    then = await _whole(connection, caller.tenant_id, access.pipeline, record_id, present, at)
    passes = await history.passes_then(connection, caller.tenant_id, then, access, caller.context)
    if not access.holds(passes):
        raise NotFound("There is no such record")
    masks = [access.readable_of(present.passes), access.readable_of(passes), only]
    shown = {n: v for n, v in then.data.items() if all(mask is None or n in mask for mask in masks)}
    made_of = access.pipeline.title_fields
    titled = access.shows(made_of, present.passes) and access.shows(made_of, passes)
    return _with(then, shown, then.title if titled else "")


async def _whole(
    connection: Connection, tenant_id: UUID, pipeline: Pipeline, record_id: UUID, present: Present, at: int | datetime
) -> Record:
    line = await history.moment(connection, tenant_id, record_id, at)
    if line is None or line.operation == "deleted" or (isinstance(at, int) and line.version != at):
        raise NotFound("The record did not exist then")
    since = await history.changes_since(connection, tenant_id, record_id, line.version)
    values = {**present.data, **shown_now(pipeline, since)}
    data = {name: value for name, value in values.items() if value is not None and name in pipeline.fields}
    return Record(
        record_id, pipeline.id, line.version, pipeline.title(data), data, present.created_at, present.created_by,
        rfc3339(line.at), line.actor_id,
    )  # fmt: skip


def _with(record: Record, data: Data, title: str) -> Record:
    return Record(
        record.id, record.pipeline_id, record.version, title, data, record.created_at, record.created_by,
        record.updated_at, record.updated_by,
    )  # fmt: skip

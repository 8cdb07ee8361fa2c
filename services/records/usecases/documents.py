"""Fields that are edited as shared documents: who may open one, and their text written into the record."""

from typing import Any
from uuid import UUID

import msgspec

from libs.common.errors import Conflict, Forbidden, NotFound
from services.records.domain.operations import Update
from services.records.domain.reach import Reach
from services.records.storage import documents, records
from services.records.usecases.caller import Caller
from services.records.usecases.scope import Scope
from services.records.usecases.writing import Writer

OPERATION = "document:"
"""What the ids of operations that write a document's text begin with, and no client's do."""


class Opened(msgspec.Struct, frozen=True):
    """A field as it is now. `ruled` is whether what may be done with it depends on the record's values."""

    pipeline_id: UUID
    text: str
    writable: bool
    ruled: bool


class Text(msgspec.Struct, frozen=True):
    """The text of a document after so many updates."""

    record_id: UUID
    field: str
    seq: int
    text: str


async def open_document(caller: Caller, record_id: UUID, field: str) -> Opened:
    """A field that is edited together, for who may read it."""
    place = await _place(caller, record_id)
    if place is None:
        raise NotFound("There is no such record")

    async def work(reach: Reach) -> Opened:
        async with caller.database.tenant(caller.tenant_id) as connection:
            return await _opened(Scope(caller, reach, connection), record_id, field)

    return await caller.settled(place.pipeline_id, work)


async def _opened(scope: Scope, record_id: UUID, field: str) -> Opened:
    row = scope.present(await scope.lock([record_id]), record_id)
    readable = scope.read.readable_of(row.reads)
    if field not in scope.pipeline.fields or (readable is not None and field not in readable):
        raise Forbidden(f"There is no field '{field}' that you may read", code="field-not-readable")
    if not scope.pipeline.fields[field].collaborative:
        raise Conflict(f"'{field}' is not edited together", code="not-collaborative")
    value: Any = row.record().data.get(field)
    ruled = scope.read.ruled or scope.update.ruled
    return Opened(scope.pipeline.id, value if isinstance(value, str) else "", _writable(scope, field, row), ruled)


def _writable(scope: Scope, field: str, row: records.Locked) -> bool:
    try:
        scope.update.check_writing(frozenset((field,)), row.updates)
    except Forbidden:
        return False
    return True


async def write_document(caller: Caller, text: Text) -> str:
    """Writes a document's text into its field, in the name of its last editor, once and never an older one: `written`,
    or `older`. Where the record is in the trash it is `trashed`, where there is none (any more) `gone`.
    """
    place = await _place(caller, text.record_id)
    if place is None or place.deleted:
        return "gone" if place is None else "trashed"

    async def work(reach: Reach) -> str:
        async with caller.database.tenant(caller.tenant_id) as connection:
            writer = Writer(caller, reach, connection, f"{OPERATION}{text.field}:{text.seq}")
            outcome = await writer.one(Update(text.record_id, {text.field: text.text or None}))
            assert outcome.record is not None
            if await documents.advance(connection, caller.tenant_id, text.record_id, text.field, text.seq):
                return "written"
            raise _Older

    try:
        return await caller.settled(place.pipeline_id, work)
    except _Older:
        return "older"


class _Older(Exception):
    """The text was written before, or a newer one; what the transaction did is rolled back."""


async def _place(caller: Caller, record_id: UUID) -> records.Place | None:
    async with caller.database.tenant(caller.tenant_id) as connection:
        return await records.place(connection, caller.tenant_id, record_id)

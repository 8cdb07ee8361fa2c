"""What became of a record: who changed what, and when."""

from typing import Any
from uuid import UUID

import msgspec

from libs.common.clock import rfc3339
from libs.common.errors import Fault, Invalid, NotFound
from services.records.domain.evolution import shown_now
from services.records.domain.origin import Origin
from services.records.domain.permissions import Access
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.domain.records import Actor
from services.records.storage import history as lines
from services.records.storage import records
from services.records.storage.history import HistoryRow
from services.records.usecases.caller import Caller

NEWEST = 2**62


class FieldChange(msgspec.Struct, frozen=True):
    """A field's value before and after; null where it had none."""

    old: Any
    new: Any


class HistoryEntry(msgspec.Struct, frozen=True):
    """One version: what was done, by whom, when, from which client, and what the visible fields became."""

    version: int
    operation: str
    changes: dict[str, FieldChange]
    actor: Actor
    at: str
    client: Origin | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of history: below a version, of one actor or one field if these are named."""

    before: int = NEWEST
    limit: int = 50
    actor: UUID | None = None
    field: str | None = None
    counted: bool = False


class Lines(msgspec.Struct, frozen=True):
    """Versions, newest first, where the next page begins, and how many there are where that was asked for."""

    entries: list[HistoryEntry]
    following: int | None
    count: int | None = None


def _access(reach: Reach, field: str | None) -> Access:
    access = reach.access("read")
    if field is not None and not access.names(field):
        raise Invalid(errors=[Fault("/field", "unknown_field", f"There is no field '{field}'")])
    return access


async def history(caller: Caller, pipeline_id: UUID, record_id: UUID, asked: Question) -> Lines:
    """A page of what became of a record."""
    read, limit = await caller.judged(pipeline_id, lambda reach: _access(reach, asked.field)), asked.limit
    async with caller.database.tenant(caller.tenant_id) as connection:
        ids = [record_id]
        if record_id not in await records.visible(connection, caller.tenant_id, ids, read, caller.context, hold=False):
            raise NotFound("There is no such record")
        passes = await records.passes(connection, caller.tenant_id, ids, read, caller.context)
        readable = read.readable_of(passes[record_id])
        if asked.field is not None and readable is not None and asked.field not in readable:
            return Lines([], None, 0 if asked.counted else None)
        names = None if asked.field is None else _names(read.pipeline, asked.field)
        rows = await lines.page(connection, caller.tenant_id, record_id, asked.before, limit + 1, asked.actor, names)
        of_all = connection, caller.tenant_id, record_id, asked.actor, names
        count = await lines.count(*of_all) if asked.counted else None
    more = len(rows) > limit
    entries = [_entry(read.pipeline, row, readable) for row in rows[:limit]]
    return Lines(entries, rows[limit - 1].version if more else None, count)


def parse_cursor(cursor: str | None) -> int:
    """The version that a page of history goes on below."""
    if cursor is None:
        return NEWEST
    if cursor.isascii() and cursor.isdigit() and 0 < len(cursor) <= 18:
        return int(cursor)
    raise Invalid(errors=[Fault("/cursor", "invalid_cursor", "The cursor is not one of this list")])


def _entry(pipeline: Pipeline, row: HistoryRow, readable: frozenset[str] | None) -> HistoryEntry:
    changes = shown_now(pipeline, msgspec.json.decode(row.changes, type=dict[str, FieldChange]))
    shown = {name: change for name, change in changes.items() if readable is None or name in readable}
    actor = Actor(row.actor_id, row.actor_kind, row.actor_name)
    client = None if row.client is None else msgspec.json.decode(row.client, type=Origin)
    return HistoryEntry(row.version, row.operation, shown, actor, rfc3339(row.at), client)


def _names(pipeline: Pipeline, name: str) -> list[str]:
    """The names that lines of history may know a field by while a job renames it."""
    return [name, *(old for old, new in pipeline.renaming.items() if new == name)]

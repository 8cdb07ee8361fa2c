"""Records, their history, and the operations of clients that changed them."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.filters import Context
from libs.common.identity import Principal
from libs.common.postgres import Connection, Database
from services.records.domain.expansion import Branch
from services.records.domain.origin import noted
from services.records.domain.permissions import Access, Fields
from services.records.domain.records import Change, Record

SQL = sql.load(__file__)

_json = msgspec.json.Encoder()


class Place(msgspec.Struct, frozen=True):
    """Where a record is."""

    id: UUID
    pipeline_id: UUID
    deleted: bool


class Locked(msgspec.Struct, frozen=True):
    """A record about to be changed. `reads`, `updates` and `deletes` are the `Passes` of the three actions.

    `fenced` is whether fields of it may be locked.
    """

    id: UUID
    pipeline_id: UUID
    version: int
    title: str
    data: str
    created_at: str
    created_by: UUID
    updated_at: str
    updated_by: UUID
    deleted: bool
    reads: list[bool] | None
    updates: list[bool] | None
    deletes: list[bool] | None
    fenced: bool = False

    def record(self) -> Record:
        """The record."""
        data = msgspec.json.decode(self.data, type=dict[str, Any])
        return Record(
            self.id, self.pipeline_id, self.version, self.title, data,
            self.created_at, self.created_by, self.updated_at, self.updated_by,
        )  # fmt: skip


def fill(name: str, **parts: str) -> str:
    """A statement with its open parts filled in; what they are filled with stays as it is."""
    return _PART.sub(lambda part: parts.get(part[1], part[0]), SQL[name])


_PART = re.compile(r"\{(\w+)\}")
OPEN = fill("body", r="r", title="r.title", data="r.data", expanded="''")
"""SQL for a record of which everything may be seen."""
_OPEN_BODIES = fill("open_bodies", body=OPEN)
_LOOK_UP = fill("look_up", body=OPEN, condition="true")


def is_open(access: Access) -> bool:
    """Whether everything may be seen, as it is stored."""
    return access.every_row and access.every_field and not access.pipeline.moving


def body(
    access: Access, params: list[object], context: Context, only: Fields = None, *, alias: str = "r",
    branches: Sequence[Branch] = (),
) -> str:  # fmt: skip
    """SQL for a record as its reader may see it, with those that its relations lead to."""
    data, title = access.data(params, context, alias, only), access.title(params, context, alias)
    related = [_related(access, params, context, alias, place, it) for place, it in enumerate(branches)]
    expanded = f"""',"expanded":{{' || {" || ',' || ".join(related)} || '}}'""" if related else "''"
    return fill("body", r=alias, title=title, data=data, expanded=expanded)


def _related(access: Access, params: list[object], context: Context, alias: str, place: int, branch: Branch) -> str:
    """SQL for a member of `expanded`."""
    whole = access.every_field and not access.pipeline.moving
    data = f"{alias}.data" if whole else access.data(params, context, alias, frozenset((branch.name,)))
    to = f"{alias}x{place}"
    shown = body(branch.access, params, context, alias=to, branches=branch.branches)
    condition = branch.access.condition(params, context, to)
    found = fill(
        "related", body=shown, held=f"{data}->>'{branch.name}'", r=alias, to=to,
        pipeline=str(branch.access.pipeline.id), condition=condition,
    )  # fmt: skip
    return f"""'"{branch.name}":' || coalesce({found}, 'null')"""


def links(access: Access, params: list[object], context: Context, names: frozenset[str]) -> str:
    """SQL for what the named relations of a record hold, as JSON text."""
    return f"{access.data(params, context, only=names)}::text" if names else "null::text"


async def get(
    connection: Connection, tenant_id: UUID, record_id: UUID, access: Access, context: Context, only: Fields = None
) -> tuple[int, str] | None:
    """Version and body of a record."""
    params: list[object] = [tenant_id, access.pipeline.id, record_id]
    shown = body(access, params, context, only)
    row = await connection.fetchrow(fill("get", body=shown, condition=access.condition(params, context)), *params)
    return None if row is None else (row[0], row[1])


async def look_up(
    database: Database, tenant_id: UUID, record_id: UUID, access: Access, context: Context
) -> tuple[int, str] | None:
    """Version and body of a record, without a transaction around it: the hottest of all statements."""
    params: list[object] = [tenant_id, access.pipeline.id, record_id]
    if access.every_field and not access.pipeline.moving:
        text = _LOOK_UP
    else:
        shown = body(access, params, context)
        text = fill("look_up", body=shown, condition=access.condition(params, context))
    row = await database.look_up(tenant_id, text, *params[1:])
    return None if row is None else (row[0], row[1])


async def bodies(
    connection: Connection, tenant_id: UUID, ids: Collection[UUID], access: Access, context: Context,
    only: Fields = None, related: frozenset[str] = frozenset(),
) -> dict[UUID, tuple[str, str | None]]:  # fmt: skip
    """Bodies and links of those of the records that may be seen."""
    params: list[object] = [tenant_id, access.pipeline.id, list(ids)]
    shown = body(access, params, context, only)
    held = links(access, params, context, related)
    condition = access.condition(params, context)
    rows = await connection.fetch(fill("bodies", body=shown, links=held, condition=condition), *params)
    return {row[0]: (row[1], row[2]) for row in rows}


async def bodies_among(
    connection: Connection, tenant_id: UUID, ids: Mapping[Access, Sequence[UUID]], context: Context
) -> dict[UUID, str]:
    """Bodies of those of the records that may be seen: of all that hide nothing by one statement."""
    open_ = [access for access in ids if is_open(access)]
    found: dict[UUID, str] = {}
    if open_:
        pipelines, wanted = [access.pipeline.id for access in open_], [it for access in open_ for it in ids[access]]
        found.update(await connection.fetch(_OPEN_BODIES, tenant_id, pipelines, wanted))  # type: ignore[arg-type]
    for access in ids.keys() - open_:
        shown = await bodies(connection, tenant_id, ids[access], access, context)
        found |= {record_id: body for record_id, (body, _) in shown.items()}
    return found


async def place(connection: Connection, tenant_id: UUID, record_id: UUID) -> Place | None:
    """Where a record is, in the trash as well."""
    row = await connection.fetchrow(SQL["place"], tenant_id, record_id)
    return None if row is None else Place(*row)


async def places(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> list[Place]:
    """Where records are, in the trash as well."""
    return [Place(*row) for row in await connection.fetch(SQL["places"], tenant_id, list(ids))]


async def visible(
    connection: Connection, tenant_id: UUID, ids: Collection[UUID], access: Access, context: Context, *, hold: bool
) -> set[UUID]:
    """Which of the records may be seen. Held ones are not purged until the transaction ends."""
    if not ids or not access.alternatives:
        return set()
    params: list[object] = [tenant_id, access.pipeline.id, list(ids)]
    text = fill("visible" if hold else "seen", condition=access.condition(params, context))
    return {row[0] for row in await connection.fetch(text, *params)}


async def lock(
    connection: Connection, tenant_id: UUID, ids: Collection[UUID], context: Context,
    read: Access, update: Access, delete: Access,
) -> dict[UUID, Locked]:  # fmt: skip
    """Locks records of a pipeline, in one order for all, in the trash as well."""
    params: list[object] = [tenant_id, read.pipeline.id, list(ids)]
    accesses = {"read": read, "update": update, "delete": delete}
    passes = {name: access.passes(params, context) for name, access in accesses.items()}
    rows = await connection.fetch(fill("lock", **passes), *params)
    return {row[0]: Locked(*row) for row in rows}


async def lock_any(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, Locked]:
    """Locks records of any pipeline."""
    rows = await connection.fetch(SQL["lock_any"], tenant_id, list(ids))
    return {row[0]: Locked(*row) for row in rows}


async def passes(
    connection: Connection, tenant_id: UUID, ids: Collection[UUID], access: Access, context: Context
) -> dict[UUID, list[bool] | None]:
    """Which rules hold on records."""
    if not access.ruled:
        return dict.fromkeys(ids)
    params: list[object] = [tenant_id, list(ids)]
    rows = await connection.fetch(fill("passes", passes=access.passes(params, context)), *params)
    return {row[0]: row[1] for row in rows}


async def insert(connection: Connection, by: Principal, at: datetime, made: Sequence[Change]) -> None:
    """Writes new records of one pipeline."""
    if not made:
        return
    new = [change.after for change in made]
    await connection.execute(
        SQL["insert"], by.tenant_id, new[0].pipeline_id, at, by.id, [r.id for r in new], [r.title for r in new],
        [_json.encode(r.data).decode() for r in new],
        [_json.encode(change.difference()).decode() for change in made], by.kind, by.name, noted(by),
    )  # fmt: skip


async def advance(connection: Connection, by: Principal, at: datetime, changes: Sequence[Change]) -> None:
    """Writes the next versions of locked records."""
    if not changes:
        return
    after = [change.after for change in changes]
    await connection.execute(
        SQL["advance"], by.tenant_id, at, by.id, by.kind, [r.id for r in after], [r.version for r in after],
        [r.title for r in after], [_json.encode(r.data).decode() for r in after],
        [change.operation == "deleted" for change in changes], [change.operation for change in changes],
        [_json.encode(change.difference()).decode() for change in changes], by.name, noted(by),
    )  # fmt: skip


async def increment(
    connection: Connection, by: Principal, at: datetime, record_id: UUID, field: str, amount: Decimal,
    read: Access, update: Access, context: Context, *, passed: bool = False,
) -> Any:  # fmt: skip
    """Adds to a number where the rules let it be seen and written; the row after, and the old value as JSON text.

    Of a record that may have locks it does so only where these were looked at, and `passed`.
    """
    params: list[object] = [
        by.tenant_id, read.pipeline.id, record_id, field, amount, at, by.id, by.kind, by.name, noted(by),
    ]  # fmt: skip
    name = frozenset((field,))
    condition = read.condition(params, context, using=name)
    writable = update.condition_to_write(params, context, name)
    return await connection.fetchrow(
        fill("increment", condition=condition, writable=writable, unfenced="true" if passed else "not r.fenced"),
        *params,
    )


async def amend(connection: Connection, tenant_id: UUID, change: Change) -> None:
    """Writes what else is part of a change that was written."""
    await connection.execute(
        SQL["amend"], tenant_id, change.after.id, change.after.version, _json.encode(change.after.data).decode(),
        _json.encode(change.difference()).decode(),
    )  # fmt: skip


async def retitle(connection: Connection, tenant_id: UUID, record_id: UUID, title: str) -> None:
    """Writes a title within the change that it follows from."""
    await connection.execute(SQL["retitle"], tenant_id, record_id, title)


async def purge(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> None:
    """Takes records away for good."""
    await connection.execute(SQL["purge"], tenant_id, list(ids))


async def begin_operation(
    connection: Connection, by: Principal, operation_id: str, record_id: UUID, at: datetime
) -> tuple[UUID, int] | None:
    """Notes an operation; where it was noted before, the record and version that it made."""
    new = await connection.fetchval(SQL["remember_operation"], by.tenant_id, by.id, operation_id, record_id, at)
    if new:
        return None
    row = await connection.fetchrow(SQL["recall_operation"], by.tenant_id, by.id, operation_id)
    assert row is not None
    return row[0], row[1]


async def finish_operation(connection: Connection, by: Principal, operation_id: str, version: int) -> None:
    """Notes the version that an operation made."""
    await connection.execute(SQL["finish_operation"], by.tenant_id, by.id, operation_id, version)


async def count_live(connection: Connection, tenant_id: UUID) -> int:
    """How many records a tenant has that are not in the trash."""
    return int(await connection.fetchval(SQL["count_live"], tenant_id))


async def take_turns(connection: Connection, tenant_id: UUID) -> None:
    """Waits until this transaction alone adds to what the tenant's plan limits."""
    await connection.execute(SQL["take_turns"], tenant_id)

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.pipelines.domain.evolution import Pending
from services.pipelines.domain.fields import AnyField
from services.pipelines.domain.schemas import Plan, Trashed, Version

SQL = sql.load(__file__)


class PlanRow(msgspec.Struct, frozen=True):
    """A row of `schema_plans`; what is structured is JSON text."""

    id: UUID
    version: int
    evolution: str
    changes: str
    expires_at: datetime


class TrashRow(msgspec.Struct, frozen=True):
    """A row of `field_trash`; the field is JSON text."""

    key: str
    field: str
    version: int
    removed_at: datetime
    removed_by: UUID


class VersionRow(msgspec.Struct, frozen=True):
    """A row of `pipeline_versions`; the definition is JSON text."""

    version: int
    definition: str
    changed_at: datetime
    changed_by: UUID


async def insert_plan(connection: Connection, tenant_id: UUID, pipeline_id: UUID, plan: Plan, by: UUID) -> None:
    """Keeps a plan until it is applied or its time is over."""
    step, changes = _text(plan.step), _text(plan.changes)
    await connection.execute(
        SQL["insert_plan"], tenant_id, plan.id, pipeline_id, plan.version, step, changes, by, plan.expires_at
    )


async def get_plan(connection: Connection, tenant_id: UUID, pipeline_id: UUID, plan_id: UUID) -> Plan | None:
    """A plan of a pipeline."""
    row = await connection.fetchrow(SQL["get_plan"], tenant_id, pipeline_id, plan_id)
    if row is None:
        return None
    structured = {"step": msgspec.json.decode(row["evolution"]), "changes": msgspec.json.decode(row["changes"])}
    plain = {"id": row["id"], "version": row["version"], "expires_at": row["expires_at"]}
    return msgspec.convert({**plain, **structured}, Plan)


async def delete_plan(connection: Connection, tenant_id: UUID, plan_id: UUID) -> None:
    """Forgets a plan."""
    await connection.execute(SQL["delete_plan"], tenant_id, plan_id)


async def put_trash(connection: Connection, tenant_id: UUID, pipeline_id: UUID, gone: Trashed) -> None:
    """Puts a field into the trash."""
    await connection.execute(
        SQL["put_trash"], tenant_id, pipeline_id, gone.key, _text(gone.field), gone.version, gone.removed_at,
        gone.removed_by,
    )  # fmt: skip


async def trash(connection: Connection, tenant_id: UUID, pipeline_id: UUID, name: str | None = None) -> list[Trashed]:
    """The fields in the trash, the last first."""
    rows = await connection.fetch(SQL["list_trash"], tenant_id, pipeline_id, name)
    return [Trashed(row[0], msgspec.json.decode(row[1], type=AnyField), *row[2:]) for row in rows]


async def take_trash(connection: Connection, tenant_id: UUID, pipeline_id: UUID, keys: Collection[str]) -> None:
    """Takes fields out of the trash."""
    await connection.execute(SQL["take_trash"], tenant_id, pipeline_id, list(keys))


async def versions(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, before: int, limit: int
) -> list[Version]:
    """Versions below one, the last first."""
    rows = await connection.fetch(SQL["list_versions"], tenant_id, pipeline_id, before, limit)
    return [_version(row) for row in rows]


async def count_versions(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> int:
    """How many versions are kept."""
    return int(await connection.fetchval(SQL["count_versions"], tenant_id, pipeline_id))


async def version(connection: Connection, tenant_id: UUID, pipeline_id: UUID, number: int) -> Version | None:
    """One version."""
    row = await connection.fetchrow(SQL["get_version"], tenant_id, pipeline_id, number)
    return None if row is None else _version(row)


async def asked_since(connection: Connection, tenant_id: UUID, pipeline_id: UUID, number: int) -> list[Pending]:
    """What versions after one asked of records, in order."""
    rows = await connection.fetch(SQL["asked_since"], tenant_id, pipeline_id, number)
    return [msgspec.json.decode(row["pending"], type=Pending) for row in rows]


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _version(row: Any) -> Version:
    known = msgspec.json.decode(row["definition"])
    return msgspec.convert(
        {**known, "version": row["version"], "changed_at": row["changed_at"], "changed_by": row["changed_by"]}, Version
    )

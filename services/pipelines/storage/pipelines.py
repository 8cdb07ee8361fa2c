from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from libs.common import sql
from libs.common.errors import Conflict
from libs.common.postgres import Connection
from services.pipelines.domain.evolution import Pending
from services.pipelines.domain.fields import AnyField
from services.pipelines.domain.pipelines import MAX_LEADING, Leading, Pipeline
from services.pipelines.domain.rules import Rule

SQL = sql.load(__file__)

_STRUCTURED: dict[str, msgspec.json.Decoder[Any]] = {
    "fields": msgspec.json.Decoder(tuple[AnyField, ...]),
    "rules": msgspec.json.Decoder(tuple[Rule, ...]),
    "claims": msgspec.json.Decoder(dict[str, str]),
    "pending": msgspec.json.Decoder(tuple[Pending, ...]),
}


class PipelineRow(msgspec.Struct, frozen=True):
    """A row of `pipelines`; what is structured is JSON text."""

    id: UUID
    version: int
    slug: str
    name: str
    description: str | None
    icon: str | None
    color: str | None
    title_template: str | None
    fields: str
    rules: str
    require_if_match: bool
    created_at: datetime
    created_by: UUID
    updated_at: datetime
    updated_by: UUID
    deleted_at: datetime | None
    claims: str
    pending: str


async def lock_creation(connection: Connection, tenant_id: UUID) -> None:
    """Waits until nobody else in the tenant is making a pipeline."""
    await connection.execute(SQL["lock_creation"], tenant_id)


async def count(
    connection: Connection, tenant_id: UUID, scope: list[UUID] | None = None, *, trash: bool = False
) -> int:
    """How many pipelines there are, in the trash or out of it."""
    found: int = await connection.fetchval(SQL["count_pipelines"], tenant_id, scope, trash)
    return found


async def taken_slugs(connection: Connection, tenant_id: UUID, beginning: str) -> set[str]:
    """The slugs in use that begin so."""
    return {row["slug"] for row in await connection.fetch(SQL["taken_slugs"], tenant_id, beginning)}


async def by_slugs(connection: Connection, tenant_id: UUID, slugs: Collection[str]) -> dict[str, UUID]:
    """The pipelines that have some slugs."""
    rows = await connection.fetch(SQL["by_slugs"], tenant_id, list(slugs))
    return {row["slug"]: row["id"] for row in rows}


async def insert(connection: Connection, tenant_id: UUID, pipeline: Pipeline) -> None:
    """Writes a new pipeline and its first version; `Conflict` where the slug is taken."""
    await _write(connection, "insert_pipeline", tenant_id, pipeline)


async def update(connection: Connection, tenant_id: UUID, pipeline: Pipeline) -> None:
    """Writes a changed pipeline and keeps the version; `Conflict` where the slug is taken."""
    await _write(connection, "update_pipeline", tenant_id, pipeline)


async def get(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> Pipeline | None:
    """One pipeline, in the trash or out of it."""
    row = await connection.fetchrow(SQL["get_pipeline"], tenant_id, pipeline_id)
    return _pipeline(row) if row else None


async def lock(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> Pipeline | None:
    """The same, held until the transaction ends."""
    row = await connection.fetchrow(SQL["lock_pipeline"], tenant_id, pipeline_id)
    return _pipeline(row) if row else None


async def settle(connection: Connection, tenant_id: UUID, pipeline: Pipeline) -> None:
    """Writes what is pending, which is no other version."""
    pending = msgspec.json.encode(pipeline.pending).decode()
    await connection.execute(SQL["settle_pipeline"], tenant_id, pipeline.id, pending)


async def page(
    connection: Connection, tenant_id: UUID, after: UUID, scope: list[UUID] | None, limit: int, *, trash: bool
) -> list[Pipeline]:
    """Pipelines in the order they were made."""
    rows = await connection.fetch(SQL["list_pipelines"], tenant_id, after, scope, trash, limit)
    return [_pipeline(row) for row in rows]


async def find(connection: Connection, tenant_id: UUID, ids: Iterable[UUID]) -> dict[UUID, Pipeline]:
    """Those that exist and are not in the trash, by id."""
    rows = await connection.fetch(SQL["find_pipelines"], tenant_id, list(set(ids)))
    return {row["id"]: _pipeline(row) for row in rows}


async def lock_speaking(connection: Connection, tenant_id: UUID, target: UUID) -> list[Pipeline]:
    """Other pipelines whose fields may speak of those of the target, also in the trash; it is held with them."""
    rows = await connection.fetch(SQL["lock_speaking"], tenant_id, target)
    return [_pipeline(row) for row in rows if row["id"] != target]


async def leading(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> tuple[Leading, ...]:
    """The relation fields over which records lead to those of a pipeline, so many at the most."""
    rows = await connection.fetch(SQL["leading"], tenant_id, pipeline_id, MAX_LEADING)
    return tuple(Leading(*row) for row in rows)


async def lock_computed(connection: Connection, tenant_id: UUID) -> None:
    """Waits until nobody else changes what computed fields of the tenant look at."""
    await connection.execute(SQL["lock_computed"], tenant_id)


async def computed(connection: Connection, tenant_id: UUID) -> list[Pipeline]:
    """The pipelines with fields that look at other pipelines."""
    return [_pipeline(row) for row in await connection.fetch(SQL["computed_pipelines"], tenant_id)]


async def relation_users(connection: Connection, tenant_id: UUID, type_name: str) -> list[str]:
    """The relation fields of a type of relationship, as `pipeline.field`."""
    return [row["name"] for row in await connection.fetch(SQL["relation_users"], tenant_id, type_name)]


async def _write(connection: Connection, statement: str, tenant_id: UUID, p: Pipeline) -> None:
    try:
        await connection.execute(
            SQL[statement], tenant_id, p.id, p.version, p.slug, p.name, p.description, p.icon, p.color,
            p.title_template, msgspec.json.encode(p.fields).decode(), p.created_at, p.created_by, p.updated_at,
            p.updated_by, p.deleted_at, msgspec.json.encode(p.rules).decode(), p.require_if_match,
            msgspec.json.encode(p.claims).decode(), msgspec.json.encode(p.pending).decode(),
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise Conflict(f"Another pipeline has the slug '{p.slug}'", code="slug-taken") from None
    await connection.execute(SQL["keep_version"], tenant_id, p.id)


def _pipeline(row: asyncpg.Record) -> Pipeline:
    structured = {name: decoder.decode(row[name]) for name, decoder in _STRUCTURED.items()}
    return Pipeline(**{**dict(row.items()), **structured})

"""Links: what is open to whoever has the token."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.postgres import Connection

SQL = sql.load(__file__)


class Link(msgspec.Struct, frozen=True):
    """A link; `settings` is JSON text, and `ended` what the database's clock says."""

    id: UUID
    kind: str
    pipeline_id: UUID
    target_id: UUID | None
    owner_id: UUID
    settings: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    ended: bool


class Settings(msgspec.Struct, frozen=True):
    """What a link says, as JSON text."""

    id: UUID
    settings: str


async def insert(connection: Connection, tenant_id: UUID, link: Link, token_hash: bytes) -> datetime:
    """Keeps a new link; when it was made."""
    made: datetime = await connection.fetchval(
        SQL["insert"], tenant_id, link.id, link.kind, link.pipeline_id, link.target_id, token_hash, link.owner_id,
        link.settings, link.expires_at,
    )  # fmt: skip
    return made


async def count(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> int:
    """How many links of a pipeline are open; nobody else makes one until the transaction ends."""
    await connection.execute(SQL["lock"], tenant_id, pipeline_id)
    return int(await connection.fetchval(SQL["count"], tenant_id, pipeline_id))


async def opened(connection: Connection, tenant_id: UUID, token_hash: bytes, kind: str) -> Link | None:
    """The link of a token."""
    return _one(await connection.fetchrow(SQL["opened"], tenant_id, token_hash, kind))


async def get(connection: Connection, tenant_id: UUID, pipeline_id: UUID, kind: str, link_id: UUID) -> Link | None:
    """A link by its id."""
    return _one(await connection.fetchrow(SQL["get"], tenant_id, pipeline_id, kind, link_id))


async def page(
    connection: Connection, tenant_id: UUID, pipeline_id: UUID, kind: str, target: UUID | None, after: UUID, limit: int
) -> list[Link]:
    """Links in the order they were made."""
    rows = await connection.fetch(SQL["page"], tenant_id, pipeline_id, kind, target, after, limit)
    return [Link(*row) for row in rows]


async def count_kind(connection: Connection, tenant_id: UUID, pipeline_id: UUID, kind: str, target: UUID | None) -> int:
    """How many links of a kind a pipeline has, or one of its records or views."""
    return int(await connection.fetchval(SQL["count_kind"], tenant_id, pipeline_id, kind, target))


async def change(
    connection: Connection, tenant_id: UUID, link_id: UUID, settings: str, owner_id: UUID, expires_at: datetime | None
) -> bool:
    """Lets a link say something else; whether it is open."""
    return bool(await connection.fetchval(SQL["change"], tenant_id, link_id, settings, owner_id, expires_at))


async def hold(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> list[Settings]:
    """What the links of a pipeline say; they say the same until the transaction ends."""
    return [Settings(*row) for row in await connection.fetch(SQL["hold"], tenant_id, pipeline_id)]


async def say(connection: Connection, tenant_id: UUID, links: Sequence[Settings]) -> None:
    """Lets links say something else."""
    await connection.execute(SQL["say"], tenant_id, [it.id for it in links], [it.settings for it in links])


async def revoke(connection: Connection, tenant_id: UUID, link_id: UUID) -> bool:
    """Ends a link; whether it was open."""
    return bool(await connection.fetchval(SQL["revoke"], tenant_id, link_id))


async def is_past(connection: Connection, moment: datetime) -> bool:
    """Whether a time has come, by the database's clock."""
    return bool(await connection.fetchval(SQL["is_past"], moment))


def _one(row: Any) -> Link | None:
    return None if row is None else Link(*row)

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from services.realtime.domain.notifications import (
    KEPT_DAYS,
    MAX_KEPT,
    Follow,
    NoticeKind,
    Notification,
    Preferences,
    Way,
)

SQL = sql.load(__file__)


class Owed(msgspec.Struct, frozen=True):
    """A person to whom a digest is due."""

    tenant_id: UUID
    user_id: UUID


async def insert(connection: Connection, tenant_id: UUID, it: Notification) -> bool:
    """A notification, once for an event; whether it is new."""
    found = await connection.fetchval(
        SQL["insert_notification"], tenant_id, it.user_id, it.id, it.event_id, it.kind, it.title, it.pipeline_id,
        it.record_id, msgspec.json.encode(it.data).decode(), it.in_app, it.mail, it.created_at,
    )  # fmt: skip
    return bool(found)


async def count_mails(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> Counter[UUID]:
    """How many mails were asked for within an hour, for each of some people."""
    rows = await connection.fetch(SQL["count_mails"], tenant_id, list(ids))
    return Counter({row["user_id"]: row["mails"] for row in rows})


async def forget(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """Keeps the newest of a person's, and none for long."""
    await connection.execute(SQL["forget_notifications"], tenant_id, user_id, KEPT_DAYS, MAX_KEPT)


async def page(
    connection: Connection, tenant_id: UUID, user_id: UUID, before: UUID | None, unread: bool, limit: int
) -> list[Notification]:
    """A person's notifications, the newest first."""
    rows = await connection.fetch(SQL["list_notifications"], tenant_id, user_id, before, unread, limit)
    return [_notification(row) for row in rows]


async def count(connection: Connection, tenant_id: UUID, user_id: UUID, unread: bool) -> int:
    """How many a person has, all or the unread ones."""
    return int(await connection.fetchval(SQL["count_notifications"], tenant_id, user_id, unread))


async def unread(connection: Connection, tenant_id: UUID, user_id: UUID) -> int:
    """How many a person has not read."""
    return int(await connection.fetchval(SQL["count_unread"], tenant_id, user_id))


async def read_some(connection: Connection, tenant_id: UUID, user_id: UUID, ids: Collection[UUID]) -> None:
    """Notes that some were read."""
    await connection.execute(SQL["read_some"], tenant_id, user_id, list(ids))


async def read_until(connection: Connection, tenant_id: UUID, user_id: UUID, last: UUID) -> None:
    """Notes that all up to one were read."""
    await connection.execute(SQL["read_until"], tenant_id, user_id, last)


async def preferences(connection: Connection, tenant_id: UUID, user_id: UUID) -> Preferences:
    """How a person wants to be told."""
    row = await connection.fetchrow(SQL["get_preferences"], tenant_id, user_id)
    return Preferences() if row is None else _preferences(row)


async def all_preferences(connection: Connection, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, Preferences]:
    """How those of the people want to be told who have said so."""
    rows = await connection.fetch(SQL["many_preferences"], tenant_id, list(ids))
    return {row["user_id"]: _preferences(row) for row in rows}


async def put_preferences(connection: Connection, tenant_id: UUID, user_id: UUID, it: Preferences) -> None:
    """Other preferences."""
    kinds = msgspec.json.encode(it.kinds).decode()
    await connection.execute(SQL["put_preferences"], tenant_id, user_id, kinds, it.time_zone, it.digest_hour)


async def lock_follows(connection: Connection, tenant_id: UUID, user_id: UUID) -> int:
    """Makes others wait who would follow for the same person, and counts what that one follows."""
    await connection.execute(SQL["lock_follows"], str(tenant_id), str(user_id))
    return int(await connection.fetchval(SQL["count_follows"], tenant_id, user_id))


async def follow(connection: Connection, tenant_id: UUID, it: Follow) -> None:
    """A person follows something from now on."""
    values = (it.user_id, it.kind, it.target_id, it.pipeline_id, it.name, _text(it.filter), it.created_at)
    await connection.execute(SQL["put_follow"], tenant_id, *values)


async def unfollow(connection: Connection, tenant_id: UUID, user_id: UUID, kind: str, target_id: UUID) -> bool:
    """A person follows something no more; whether they did."""
    return bool(await connection.fetchval(SQL["delete_follow"], tenant_id, user_id, kind, target_id))


async def follows(connection: Connection, tenant_id: UUID, user_id: UUID) -> list[Follow]:
    """What a person follows."""
    return [_follow(row) for row in await connection.fetch(SQL["list_follows"], tenant_id, user_id)]


async def followers(
    connection: Connection, tenant_id: UUID, records: Collection[UUID], pipelines: Collection[UUID]
) -> list[Follow]:
    """Who follows some records, or views of some pipelines."""
    rows = await connection.fetch(SQL["followers"], tenant_id, list(records), list(pipelines))
    return [_follow(row) for row in rows]


async def change_view(connection: Connection, tenant_id: UUID, view_id: UUID, name: str, tree: object) -> None:
    """A view is called or filters otherwise."""
    await connection.execute(SQL["change_view"], tenant_id, view_id, name, _text(tree))


async def end_view(connection: Connection, tenant_id: UUID, view_id: UUID, but: UUID | None) -> None:
    """A view exists for one person alone, or for nobody."""
    await connection.execute(SQL["end_view"], tenant_id, view_id, but)


async def due_digest(connection: Connection, tenant_id: UUID, user_id: UUID, at: datetime) -> None:
    """A person's digest is due then, unless it is before."""
    await connection.execute(SQL["due_digest"], tenant_id, user_id, at)


async def claim_digests(connection: Connection, limit: int) -> list[Owed]:
    """Digests that are due."""
    return [Owed(*row) for row in await connection.fetch(SQL["claim_digests"], limit)]


async def put_digest(connection: Connection, owed: Owed, at: datetime) -> None:
    """When the next digest is due."""
    await connection.execute(SQL["put_digest"], owed.tenant_id, owed.user_id, at)


async def take_digest(connection: Connection, owed: Owed, kinds: Collection[NoticeKind]) -> list[Notification]:
    """What is told in a digest, oldest first."""
    rows = await connection.fetch(SQL["take_digest"], owed.tenant_id, owed.user_id, list(kinds))
    return sorted((_notification(row) for row in rows), key=lambda it: it.id)


async def forget_person(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """Forgets all that a person was told and wanted."""
    await connection.execute(SQL["forget_person"], tenant_id, user_id)


async def forget_record(connection: Connection, tenant_id: UUID, record_id: UUID) -> None:
    """Forgets what was told and sent of a record."""
    await connection.execute(SQL["forget_record"], tenant_id, record_id)


def _text(tree: object) -> str | None:
    return None if tree is None else msgspec.json.encode(tree).decode()


def _notification(row: asyncpg.Record) -> Notification:
    return Notification(**{**row, "data": msgspec.json.decode(row["data"])})


def _preferences(row: asyncpg.Record) -> Preferences:
    kinds = msgspec.json.decode(row["kinds"], type=dict[NoticeKind, Way])
    return Preferences(kinds, row["time_zone"], row["digest_hour"])


def _follow(row: asyncpg.Record) -> Follow:
    tree = row["filter"]
    return Follow(**{**row, "filter": None if tree is None else msgspec.json.decode(tree)})

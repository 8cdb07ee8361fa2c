"""What is held on a person."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.clock import rfc3339
from libs.common.postgres import Connection

SQL = sql.load(__file__)


async def webhooks(
    connection: Connection, tenant_id: UUID, user_id: UUID, after: UUID, limit: int
) -> list[dict[str, Any]]:
    """The webhooks that a person owns, as a report tells them."""
    return [
        {"kind": "webhook", "id": str(row[0]), "url": row[1], "created_at": rfc3339(row[2])}
        for row in await connection.fetch(SQL["webhooks"], tenant_id, user_id, after, limit)
    ]


class Delivery(msgspec.Struct, frozen=True):
    """What was, or will be, sent to a webhook; its payload where that speaks of the person."""

    id: UUID
    webhook_id: UUID
    kind: str
    created_at: datetime
    payload: str | None

    def told(self) -> dict[str, Any]:
        """As a report tells of it."""
        at = rfc3339(self.created_at)
        return {"kind": "delivery", "id": str(self.id), "webhook_id": str(self.webhook_id), "type": self.kind, "at": at}


class Told(msgspec.Struct, frozen=True):
    """What somebody was told; as JSON where that names the person."""

    user_id: UUID
    id: UUID
    data: str | None


async def notifications(
    connection: Connection, tenant_id: UUID, user_id: UUID, after: UUID, limit: int
) -> list[dict[str, Any]]:
    """What a person was told, as a report tells it."""
    return [
        {
            "kind": "notification", "id": str(row[0]), "type": row[1], "title": row[2],
            "record_id": str(row[3]) if row[3] else None, "data": msgspec.json.decode(row[4]),
            "created_at": rfc3339(row[5]), "read_at": rfc3339(row[6]) if row[6] else None,
        }
        for row in await connection.fetch(SQL["notifications"], tenant_id, user_id, after, limit)
    ]  # fmt: skip


async def told_others(
    connection: Connection, tenant_id: UUID, user_id: UUID, after: tuple[UUID, UUID], limit: int
) -> list[Told]:
    """So many of what anybody was told, after one of these ids of a user and of a notification."""
    return [Told(*row) for row in await connection.fetch(SQL["told_others"], tenant_id, user_id, *after, limit)]


async def put_told(connection: Connection, tenant_id: UUID, told: Mapping[UUID, str]) -> None:
    """Says it in other words."""
    await connection.execute(SQL["put_told"], tenant_id, list(told), list(told.values()))


async def deliveries(connection: Connection, tenant_id: UUID, user_id: UUID, after: UUID, limit: int) -> list[Delivery]:
    """So many deliveries to webhooks, after one."""
    return [Delivery(*row) for row in await connection.fetch(SQL["deliveries"], tenant_id, user_id, after, limit)]


async def put_payloads(connection: Connection, tenant_id: UUID, payloads: Mapping[UUID, str]) -> None:
    """Sends something else, from now on."""
    await connection.execute(SQL["put_payloads"], tenant_id, list(payloads), list(payloads.values()))

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from libs.common import sql
from libs.common.postgres import Connection
from libs.common.sealing import Sealed
from services.realtime.domain.webhooks import Webhook

SQL = sql.load(__file__)


async def lock_all(connection: Connection, tenant_id: UUID) -> None:
    """Makes others wait who would add a webhook to the tenant."""
    await connection.execute(SQL["lock_webhooks"], str(tenant_id))


async def count(connection: Connection, tenant_id: UUID) -> int:
    """How many webhooks a tenant has."""
    return int(await connection.fetchval(SQL["count_webhooks"], tenant_id))


async def insert(connection: Connection, tenant_id: UUID, it: Webhook) -> None:
    """A new webhook, with nothing to do."""
    await connection.execute(
        SQL["insert_webhook"], tenant_id, it.id, it.url, list(it.events), it.pipeline_id, _filter(it), it.description,
        it.owner_id, it.secrets, it.created_at,
    )  # fmt: skip
    await connection.execute(SQL["insert_due"], tenant_id, it.id)


async def get(connection: Connection, tenant_id: UUID, webhook_id: UUID, *, lock: bool = False) -> Webhook | None:
    """A webhook; locked, until the transaction ends."""
    row = await connection.fetchrow(SQL["lock_webhook" if lock else "get_webhook"], tenant_id, webhook_id)
    return None if row is None else _webhook(row)


async def page(connection: Connection, tenant_id: UUID, after: UUID, limit: int) -> list[Webhook]:
    """A tenant's webhooks after an id."""
    return [_webhook(row) for row in await connection.fetch(SQL["list_webhooks"], tenant_id, after, limit)]


async def active(connection: Connection, tenant_id: UUID) -> list[Webhook]:
    """Those that changes go to now."""
    return [_webhook(row) for row in await connection.fetch(SQL["active_webhooks"], tenant_id)]


async def update(connection: Connection, tenant_id: UUID, it: Webhook) -> None:
    """What may be changed of a webhook, and its state."""
    await connection.execute(
        SQL["update_webhook"], tenant_id, it.id, it.url, list(it.events), it.pipeline_id, _filter(it), it.description,
        it.state, it.reason, it.owner_id, it.failing_since, it.updated_at,
    )  # fmt: skip


async def hold_filters(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> dict[UUID, object]:
    """The filters of a pipeline's webhooks, which nobody else changes until the end of the transaction."""
    rows = await connection.fetch(SQL["hold_filters"], tenant_id, pipeline_id)
    return {row["id"]: msgspec.json.decode(row["filter"]) for row in rows}


async def put_filter(connection: Connection, tenant_id: UUID, webhook_id: UUID, tree: object) -> None:
    """Another filter."""
    await connection.execute(SQL["put_filter"], tenant_id, webhook_id, msgspec.json.encode(tree).decode())


async def put_secrets(connection: Connection, tenant_id: UUID, webhook_id: UUID, sealed: bytes, now: datetime) -> None:
    """Other secrets, sealed."""
    await connection.execute(SQL["put_secrets"], tenant_id, webhook_id, sealed, now)


async def sealed(connection: Connection, after: tuple[UUID, UUID], limit: int) -> list[Sealed]:
    """The next secrets of all tenants' webhooks, which nobody else changes until the end of the transaction."""
    return [Sealed(*row) for row in await connection.fetch(SQL["sealed"], *after, limit)]


async def put_sealed(connection: Connection, anew: Sequence[Sealed]) -> None:
    """Keeps what was sealed anew."""
    columns = [it.tenant_id for it in anew], [it.id for it in anew], [it.secret for it in anew]
    await connection.execute(SQL["put_sealed"], *columns)


async def note_failing(connection: Connection, tenant_id: UUID, webhook_id: UUID, since: datetime | None) -> None:
    """When deliveries began to fail."""
    await connection.execute(SQL["note_failing"], tenant_id, webhook_id, since)


async def end(
    connection: Connection, tenant_id: UUID, webhook_id: UUID, state: str, reason: str, now: datetime
) -> bool:
    """Ends an active webhook for a reason; whether it was active."""
    return bool(await connection.fetchval(SQL["end_webhook"], tenant_id, webhook_id, state, reason, now))


async def pause_owned(connection: Connection, tenant_id: UUID, owner_id: UUID, reason: str) -> None:
    """Pauses what a person owns."""
    await connection.execute(SQL["pause_owned"], tenant_id, owner_id, reason)


async def resume_owned(connection: Connection, tenant_id: UUID, owner_id: UUID, reason: str) -> list[UUID]:
    """Makes active again what was paused for that reason."""
    return [row["id"] for row in await connection.fetch(SQL["resume_owned"], tenant_id, owner_id, reason)]


async def delete(connection: Connection, tenant_id: UUID, webhook_id: UUID) -> bool:
    """Deletes a webhook with its deliveries; whether there was one."""
    return bool(await connection.fetchval(SQL["delete_webhook"], tenant_id, webhook_id))


def _filter(it: Webhook) -> str | None:
    return None if it.filter is None else msgspec.json.encode(it.filter).decode()


def _webhook(row: asyncpg.Record) -> Webhook:
    values = dict(row)
    tree = values.pop("filter")
    events = tuple(values.pop("events"))
    return Webhook(**values, events=events, filter=None if tree is None else msgspec.json.decode(tree))

"""The platform itself ends a webhook, and tells its owner."""

from uuid import UUID

from libs.common import clock, outbox
from libs.common.postgres import Connection
from services.realtime.domain import events
from services.realtime.storage import deliveries, webhooks


async def end(connection: Connection, tenant_id: UUID, webhook_id: UUID, reason: str) -> None:
    """Disables an active webhook, whose row of `due` is locked; what waits goes on when it is active again."""
    if not await webhooks.end(connection, tenant_id, webhook_id, "disabled", reason, clock.now()):
        return
    await deliveries.rest(connection, tenant_id, webhook_id)
    webhook = await webhooks.get(connection, tenant_id, webhook_id)
    assert webhook is not None
    await outbox.record(connection, tenant_id, [events.webhook("disabled", webhook, None)])

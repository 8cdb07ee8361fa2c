"""Which changes go to which webhooks: judged with the owner's present permissions and the webhook's filter."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from libs.common.errors import Invalid
from libs.common.postgres import Database
from services.realtime.domain.webhooks import BACKLOG, MAX_PENDING, Webhook, event_of
from services.realtime.storage import deliveries, webhooks
from services.realtime.storage.deliveries import New
from services.realtime.usecases import endings
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.following import Happened
from services.realtime.usecases.owners import Owner, Owners

log = structlog.get_logger()


class Planner:
    """Writes the deliveries of a tenant's changes."""

    def __init__(self, database: Database, definitions: Definitions, owners: Owners) -> None:
        self._database = database
        self._definitions = definitions
        self._owners = owners

    async def take(self, tenant_id: UUID, batch: Sequence[Happened]) -> bool:
        """Plans the deliveries of some changes, whether there are any; planned again, they are not doubled."""
        async with self._database.tenant(tenant_id) as connection:
            found = await webhooks.active(connection, tenant_id)
        if not found:
            return False
        owners = await self._owners.find(tenant_id, {it.owner_id for it in found})
        planned = {it.id: await self.wanted(tenant_id, it, owners[it.owner_id], batch) for it in found
                   if it.owner_id in owners}  # fmt: skip
        return await self._write(tenant_id, {webhook_id: new for webhook_id, new in planned.items() if new})

    async def _write(self, tenant_id: UUID, planned: dict[UUID, list[New]]) -> bool:
        if not planned:
            return False
        async with self._database.tenant(tenant_id) as connection:
            for webhook_id in sorted(planned):
                due = await deliveries.lock(connection, tenant_id, webhook_id)
                if due is None:
                    continue
                if due.pending >= MAX_PENDING:
                    await endings.end(connection, tenant_id, webhook_id, BACKLOG)
                else:
                    await deliveries.add(connection, tenant_id, webhook_id, planned[webhook_id])
        return True

    async def wanted(self, tenant_id: UUID, webhook: Webhook, owner: Owner, batch: Sequence[Happened]) -> list[New]:
        """What of some changes goes to a webhook."""
        new = []
        for it in batch:
            head = it.change.head
            if webhook.pipeline_id not in (None, head.pipeline_id):
                continue
            await self._definitions.get_or_bare(tenant_id, head.pipeline_id)
            kind = self._kind(tenant_id, webhook, owner, it)
            if kind is not None:
                new.append(New(it.event_id, it.change.seq, kind, head.id, it.payload.decode()))
        return new

    def _kind(self, tenant_id: UUID, webhook: Webhook, owner: Owner, it: Happened) -> str | None:
        definition = self._definitions.cached(tenant_id, it.change.head.pipeline_id)
        if definition is None:
            return None
        try:
            verdict = owner.judge(it.change, definition, owner.where(webhook.filter, definition))
        except Invalid:
            return None
        kind = None if verdict is None else event_of(verdict.kind)
        return kind if kind is not None and webhook.wants(kind) else None

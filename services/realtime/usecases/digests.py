"""Digests: what was collected for a person, in one mail, at their hour."""

import asyncio

from libs.common import clock, outbox
from libs.common.ids import new_id
from libs.common.postgres import Database
from libs.common.resilience import keep_running
from services.realtime.domain import events, notifications
from services.realtime.domain.notifications import MAX_LINES
from services.realtime.domain.unsubscribing import Digest, Unsubscribing
from services.realtime.storage import notifications as store
from services.realtime.storage.notifications import Owed

RELAY = "millrace_realtime_relay"
BATCH = 50


class Digests:
    """Sends digests when they are due, for as long as the process lives."""

    def __init__(self, database: Database, digest: Digest, poll_seconds: float) -> None:
        self._database = database
        self._digest = digest
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Runs for ever."""
        await keep_running("digests", self._run)

    async def _run(self) -> None:
        while True:
            async with self._database.relay(RELAY) as connection:
                owed = await store.claim_digests(connection, BATCH)
            for one in owed:
                await self._send(one)
            if len(owed) < BATCH:
                await asyncio.sleep(self._poll_seconds)

    async def _send(self, owed: Owed) -> None:
        """Asks for the mail and notes when the next one is due, at once."""
        async with self._database.tenant(owed.tenant_id) as connection:
            wish = await store.preferences(connection, owed.tenant_id, owed.user_id)
            now = clock.now()
            found = await store.take_digest(connection, owed, wish.collected(now))
            await store.put_digest(connection, owed, wish.next_digest(now))
            if not found:
                return
            lines = [notifications.line(it) for it in found[:MAX_LINES]]
            if len(found) > MAX_LINES:
                lines.append(f"And {len(found) - MAX_LINES} more.")
            token = Unsubscribing(owed.tenant_id, owed.user_id).token(self._digest)
            data = events.MailData(owed.user_id, f"{len(found)} notifications", lines, token)
            await outbox.record(connection, owed.tenant_id, [events.mail_due(new_id(), data)])

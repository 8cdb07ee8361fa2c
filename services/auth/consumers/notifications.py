"""Mails that realtime asks for; whose address it is, and whether it may be written to, only auth knows."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus, Consumer
from libs.common.events import Event
from libs.common.postgres import Connection, Database
from services.auth.domain import mails
from services.auth.storage import organizations, users
from services.auth.usecases.context import Context


class MailDue(msgspec.Struct):
    """To whom, in which words, and what the link carries that ends such mails."""

    user_id: UUID
    subject: str
    lines: list[str]
    unsubscribe: str


def consume(bus: Bus, database: Database, context: Context) -> None:
    """Begins to write them into the outbox of mails, each once."""

    async def send(connection: Connection, event: Event[MailDue]) -> None:
        tenant_id, it = event.tenant_id, event.data
        organization = await organizations.get(connection, tenant_id)
        user = await users.get(connection, tenant_id, it.user_id)
        if organization is None or organization.status != "active" or user is None or user.status != "active":
            return
        origin = context.public_url.replace("{tenant}", organization.slug)
        mail = mails.notify(organization, user, it.subject, it.lines, origin, it.unsubscribe)
        await context.post.enqueue(connection, tenant_id, mail)

    subject = "evt.*.realtime.notification.mail_due"
    bus.consume(Consumer("auth-notifications", subject, MailDue, send), database)

"""What realtime announces, as docs/architecture.md promises it."""

from uuid import UUID

import msgspec

from libs.common.events import NewEvent as NewEvent
from services.realtime.domain.webhooks import Webhook


class WebhookData(msgspec.Struct, frozen=True):
    """Data of `realtime.webhook.*`; `actor_id` is who changed it, or null for the platform itself."""

    id: UUID
    url: str
    state: str
    reason: str | None
    owner_id: UUID
    actor_id: UUID | None


def webhook(verb: str, it: Webhook, actor_id: UUID | None) -> NewEvent:
    """`realtime.webhook.<verb>`."""
    data = WebhookData(it.id, it.url, it.state, it.reason, it.owner_id, actor_id)
    return NewEvent(f"realtime.webhook.{verb}", it.id, data)


class MailData(msgspec.Struct, frozen=True):
    """Data of `realtime.notification.mail_due`: to whom, in which words, and what the link carries that ends them."""

    user_id: UUID
    subject: str
    lines: list[str]
    unsubscribe: str


def mail_due(subject: UUID, it: MailData) -> NewEvent:
    """`realtime.notification.mail_due`."""
    return NewEvent("realtime.notification.mail_due", subject, it)

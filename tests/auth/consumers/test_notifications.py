"""Mails that realtime asks for."""

from email.message import EmailMessage
from uuid import uuid4

import msgspec

from libs.common import events
from libs.common.bus import Bus, Outgoing
from libs.common.events import NewEvent
from tests.auth.support import Mailbox, Tenant
from tests.support.waiting import eventually


async def due(bus: Bus, tenant: Tenant, user_id: str, times: int = 1) -> None:
    """A mail is asked for, and that is delivered so many times."""
    data = {"user_id": user_id, "subject": "Ada\nassigned you", "lines": ["One.", "Two."], "unsubscribe": "t0ken"}
    new = NewEvent("realtime.notification.mail_due", uuid4(), msgspec.Raw(msgspec.json.encode(data)))
    _, subject, payload = events.encode(tenant.id, new)
    await bus.ready()
    for number in range(times):
        await bus.publish([Outgoing(subject, payload.encode(), f"{uuid4()} {number}")])


def told(mailbox: Mailbox, address: str) -> list[EmailMessage]:
    """What somebody was mailed that they may end."""
    return [mail for mail in mailbox.of(address) if mail["List-Unsubscribe"]]


async def test_a_notification_is_mailed_once_with_its_way_out(tenant: Tenant, bus: Bus, mailbox: Mailbox) -> None:
    """However often the event comes, one mail goes to the person's address, which says how to get no more of them."""
    person, away, later = [await tenant.add("viewer") for _ in range(3)]
    await tenant.ask("POST", f"/users/{away['id']}/deactivate")
    await due(bus, tenant, away["id"])
    await due(bus, tenant, person["id"], times=3)
    await due(bus, tenant, later["id"])

    async def all_sent() -> bool:
        return bool(told(mailbox, later["email"]) and told(mailbox, person["email"]))

    await eventually(all_sent)
    (mail,) = told(mailbox, person["email"])
    assert mail["Subject"].endswith(": Ada assigned you")
    link = f"http://{tenant.slug}.localhost:8000/api/v1/notifications/unsubscribe?token=t0ken"
    assert (mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"]) == (f"<{link}>", "List-Unsubscribe=One-Click")
    text = mail.get_content()
    assert "One.\r\nTwo." in text
    assert link in text
    assert told(mailbox, away["email"]) == []

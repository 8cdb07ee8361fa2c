import msgspec

from libs.common import events
from libs.common.events import NewEvent
from libs.common.ids import new_id


class Told(msgspec.Struct):
    """What is told."""

    name: str
    size: int


class Heard(msgspec.Struct):
    """What one listener reads of it."""

    name: str


def test_an_event_is_a_cloudevent() -> None:
    """The envelope has the members of CloudEvents 1.0, and the subject names tenant and type."""
    tenant, subject = new_id(), new_id()
    event_id, address, text = events.encode(tenant, NewEvent("records.record.created", subject, Told("a", 1)))
    document = msgspec.json.decode(text)
    assert address == f"evt.{tenant}.records.record.created"
    assert document.pop("time").endswith("Z")
    assert document == {
        "specversion": "1.0",
        "id": str(event_id),
        "source": "/millrace/records",
        "type": "records.record.created",
        "subject": str(subject),
        "tenantid": str(tenant),
        "data": {"name": "a", "size": 1},
    }


def test_a_listener_reads_what_it_declares() -> None:
    """More data than it knows does not disturb it."""
    tenant = new_id()
    event_id, _, text = events.encode(tenant, NewEvent("a.b.c", new_id(), Told("a", 1)))
    event = events.decode(text.encode(), Heard, 7)
    assert (event.id, event.tenant_id, event.seq, event.data) == (event_id, tenant, 7, Heard("a"))

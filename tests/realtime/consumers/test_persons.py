"""What realtime tells of a person, and what it takes out."""

from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from libs.common import persons
from libs.common.bus import Bus
from libs.common.ids import NIL, new_id
from libs.common.persons import ERASED_NAME, Page, Question
from libs.common.postgres import Database as Pool
from services.realtime.consumers import persons as consumer
from tests.support.postgres import Database

Admin = asyncpg.Connection
exact = msgspec.json.Encoder(decimal_format="number")


@pytest.fixture
async def bus(nats_url: str, database: Database) -> AsyncIterator[Bus]:
    """A bus on which realtime answers."""
    bus, pool = Bus(nats_url, "test persons"), Pool(database.dsn("realtime"))
    await bus.start()
    await pool.start()
    consumer.serve(bus, pool)
    await bus.ready()
    await bus.client.flush()
    yield bus
    await bus.stop()
    await pool.stop()


@pytest.fixture
async def admin(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A superuser's connection, to set the scene and look behind it."""
    connection = await asyncpg.connect(database.admin_dsn, server_settings={"search_path": "realtime, extensions"})
    yield connection
    await connection.close()


async def whole(bus: Bus, question: Question) -> tuple[list[dict[str, Any]], Counter[str]]:
    """All pages of an answer."""
    items: list[dict[str, Any]] = []
    erased = Counter[str]()
    while True:
        page = await bus.request("rpc.realtime.person", question, Page, seconds=60)
        items += page.items
        erased.update(page.erased)
        if page.cursor is None:
            return items, erased
        question = msgspec.structs.replace(question, cursor=page.cursor)


async def told(admin: Admin, tenant: UUID, to: UUID, by: UUID, name: str) -> UUID:
    """A notification of somebody, of what somebody did."""
    data = msgspec.json.encode({"actor": {"id": by, "kind": "user", "name": name}, "field": "owner"}).decode()
    statement = """
    insert into notifications (tenant_id, user_id, id, event_id, kind, title, data, in_app, mail, created_at)
    values ($1, $2, $3, $4, 'assigned', 'Acme', $5, true, 'none', now())
    """
    await admin.execute(statement, tenant, to, notification := new_id(), new_id(), data)
    return notification


async def sent(admin: Admin, tenant: UUID, owner: UUID, by: UUID, name: str) -> UUID:
    """A delivery of what somebody did, to a webhook of somebody."""
    webhook, delivery, event = new_id(), new_id(), new_id()
    hook = """
    insert into webhooks (tenant_id, id, url, events, description, state, owner_id, secrets, created_at, updated_at)
    values ($1, $2, 'https://hooks.example.com', '{record.updated}', '', 'active', $3, '', now(), now())
    """
    await admin.execute(hook, tenant, webhook, owner)
    record = {"id": new_id(), "data": {"company": "Acme"}, "amount": Decimal("1234567890123456789.25")}
    payload = {"data": {"record": record, "actor": {"id": by, "kind": "user", "name": name}}}
    row = """
    insert into deliveries (tenant_id, webhook_id, event_id, id, seq, kind, payload)
    values ($1, $2, $3, $4, 7, 'record.updated', $5)
    """
    await admin.execute(row, tenant, webhook, event, delivery, exact.encode(payload).decode())
    return delivery


async def test_an_export_tells_what_a_person_was_told_and_what_is_sent_of_them(bus: Bus, admin: Admin) -> None:
    """Their webhooks, their notifications, and deliveries of what they did; of nobody else, and of no other tenant."""
    tenant, ada, bob = new_id(), new_id(), new_id()
    mine = [await told(admin, tenant, ada, bob, "Bob") for _ in range(consumer.SCANNED + 1)]
    await told(admin, tenant, bob, ada, "Ada")
    await told(admin, new_id(), ada, bob, "Bob")
    of_ada = await sent(admin, tenant, bob, ada, "Ada")
    of_bob = await sent(admin, tenant, ada, bob, "Bob")
    items, erased = await whole(bus, Question(tenant, "export", ada))
    kinds = {kind: [it["id"] for it in items if it["kind"] == kind] for kind in ("webhook", "notification", "delivery")}
    assert erased == {}
    assert len(kinds["webhook"]) == 1
    assert kinds["notification"] == [str(it) for it in mine]
    assert kinds["delivery"] == [str(of_ada)]
    assert str(of_bob) not in kinds["delivery"]


async def test_an_erasure_leaves_no_name_in_what_others_have(bus: Bus, admin: Admin) -> None:
    """Neither in what they were told nor in what is kept of deliveries; all else stays; asked again it does no harm."""
    tenant, ada, bob = new_id(), new_id(), new_id()
    for _ in range(consumer.SCANNED + 1):
        await told(admin, tenant, bob, ada, "Ada")
    await told(admin, tenant, bob, bob, "Bob")
    await told(admin, tenant, cyd := new_id(), bob, "Bob")
    await told(admin, tenant, cyd, ada, "Ada")
    delivery = await sent(admin, tenant, bob, ada, "Ada")
    question = Question(tenant, "erasure", ada)
    assert await whole(bus, question) == ([], {"notifications": consumer.SCANNED + 2, "deliveries": 1})
    names = "select data #>> '{actor,name}' as name, count(*) from notifications where tenant_id = $1 group by 1"
    found = {row[0]: row[1] for row in await admin.fetch(names, tenant)}
    assert found == {ERASED_NAME: consumer.SCANNED + 2, "Bob": 2}
    kept = await admin.fetchval("select payload from deliveries where id = $1", delivery)
    payload = msgspec.json.decode(kept)
    assert (payload["data"]["actor"]["name"], payload["data"]["actor"]["id"]) == (ERASED_NAME, str(ada))
    assert payload["data"]["record"]["data"] == {"company": "Acme"}
    assert '"amount":1234567890123456789.25' in kept
    assert await whole(bus, question) == ([], {})


async def test_a_page_looks_at_so_many_rows_and_no_more(bus: Bus, admin: Admin) -> None:
    """Where nothing speaks of a person, each page ends all the same after so many rows."""
    tenant, ada, bob = new_id(), new_id(), new_id()
    for _ in range(consumer.SCANNED + 1):
        await told(admin, tenant, bob, bob, "Bob")
    first = await bus.request("rpc.realtime.person", Question(tenant, "erasure", ada), Page, seconds=60)
    assert first.cursor is not None
    assert await whole(bus, Question(tenant, "erasure", ada, cursor=first.cursor)) == ([], {})


async def test_of_nobody_there_is_nothing(bus: Bus) -> None:
    """Realtime knows no addresses."""
    assert persons.PAGE >= consumer.SCANNED
    assert await whole(bus, Question(NIL, "export", email="ada@example.com")) == ([], {})

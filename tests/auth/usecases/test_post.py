"""Mails that leave by a real SMTP server."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from libs.common.ids import new_id
from libs.common.postgres import Database as Pool
from ops.embedded import free_port
from services.auth.domain.mails import Mail
from services.auth.domain.sealing import Seal
from services.auth.usecases.post import PostOffice, by_smtp
from tests.support.postgres import Database
from tests.support.waiting import eventually

MAIL = Mail("jürgen@example.com", "Grüße – ünïcode", "Hello\n\n    http://x.localhost/?token=" + "a" * 70 + "\n")
Admin = asyncpg.Connection


class Sink:
    """What an SMTP server took."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.refuse = False

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Takes a mail, or has no time for it now."""
        if self.refuse:
            return "451 try again later"
        self.taken.append(envelope)
        return "250 taken"


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """The service's database."""
    pool = Pool(database.dsn("auth"))
    await pool.start()
    yield pool
    await pool.stop()


async def test_a_mail_arrives_once_also_when_the_server_was_away(pool: Pool, admin: Admin) -> None:
    """Until it is taken it waits in the database; then its row goes."""
    sink, port, tenant_id = Sink(), free_port(), new_id()
    server = Controller(sink, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    post = PostOffice(
        pool, Seal("a secret of the tests", "mails"), "M <m@localhost>", by_smtp(f"smtp://127.0.0.1:{port}")
    )
    await post.start()
    async with pool.tenant(tenant_id) as connection:
        await post.enqueue(connection, tenant_id, MAIL)
    post.wake()

    async def attempts(count: int) -> bool:
        return bool(await admin.fetchval("select attempts = $1 and next_at > now() from mails", count))

    await eventually(lambda: attempts(1))
    server.start()
    try:
        sink.refuse = True
        await admin.execute("update mails set next_at = now()")
        await eventually(lambda: attempts(2))
        sink.refuse = False
        await admin.execute("update mails set next_at = now()")

        async def gone() -> bool:
            return int(await admin.fetchval("select count(*) from mails")) == 0

        await eventually(gone)
    finally:
        await post.stop()
        server.stop()
    (envelope,) = sink.taken
    assert envelope.rcpt_tos == ["jürgen@example.com"]


async def test_mails_wait_where_there_is_no_way_to_send_them(pool: Pool, admin: Admin) -> None:
    """Encrypted, and found by whoever gets a way later."""
    post, tenant_id = PostOffice(pool, Seal("a secret of the tests", "mails"), "M <m@localhost>", None), new_id()
    await post.start()
    async with pool.tenant(tenant_id) as connection:
        await post.enqueue(connection, tenant_id, MAIL)
    await post.stop()
    ((message, tried),) = await admin.fetch("select message, attempts from mails")
    assert (tried, MAIL.text.encode() in message) == (0, False)


@pytest.mark.parametrize("url", ["http://mail:25", "smtp://", "mail:25"])
def test_what_is_no_smtp_url_is_refused_at_the_start(url: str) -> None:
    """With the forms that are taken."""
    with pytest.raises(ValueError, match="smtp://host:port"):
        by_smtp(url)


async def test_the_link_that_ends_mails_travels_as_it_stands(pool: Pool) -> None:
    """Mail programs find the address of one-click unsubscribing on one line, however long it is, and not encoded."""
    sink, port, tenant_id = Sink(), free_port(), new_id()
    server = Controller(sink, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    server.start()
    link = f"<http://x.localhost:8000/api/v1/notifications/unsubscribe?token={'Aa0_-' * 30}>"
    heads = {"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    post = PostOffice(
        pool, Seal("a secret of the tests", "mails"), "M <m@localhost>", by_smtp(f"smtp://127.0.0.1:{port}")
    )
    await post.start()
    async with pool.tenant(tenant_id) as connection:
        await post.enqueue(connection, tenant_id, Mail("a@example.com", "Told", "Hello\n", heads))
    post.wake()

    async def taken() -> bool:
        return bool(sink.taken)

    await eventually(taken)
    await post.stop()
    server.stop()
    content = sink.taken[0].content
    assert isinstance(content, bytes)
    assert f"\r\nList-Unsubscribe: {link}\r\n".encode() in content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content

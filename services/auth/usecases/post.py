"""Sending what was written into the mail outbox: by SMTP, or, where there is no server, into a folder.

A mail is claimed for a while, sent outside of any transaction, and deleted when it went. A crash in between sends it
again; that is better than never.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from email.headerregistry import HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import formatdate
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib
import msgspec
import structlog

from libs.common import clock
from libs.common.errors import Unavailable
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from libs.common.resilience import end, keep_running, woken
from libs.common.transactions import after_commit
from services.auth.domain.mails import MAX_ATTEMPTS, Mail
from services.auth.domain.sealing import Seal
from services.auth.storage import mails
from services.auth.storage.mails import Waiting

RELAY = "millrace_auth_relay"
BATCH = 10
POLL_SECONDS = 1.0
SMTP_SECONDS = 15.0
MAX_PENDING = 100
log = structlog.get_logger()

Send = Callable[[EmailMessage], Awaitable[None]]


class PostOffice:
    """The mails of one process. Without a way to send them they wait in the database."""

    def __init__(self, database: Database, seal: Seal, sender: str, send: Send | None) -> None:
        self._database = database
        self._seal = seal
        self._sender = sender
        self._send = send
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._pending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begins to send."""
        if self._send is None:
            await log.awarning("mails wait: neither SMTP_URL nor MAIL_DIRECTORY is set")
            return
        self._loops.append(asyncio.create_task(keep_running("mails", self._run)))

    async def stop(self) -> None:
        """Ends sending; what was not sent waits."""
        await asyncio.gather(*self._pending, return_exceptions=True)
        await end(self._loops)

    async def enqueue(self, connection: Connection, tenant_id: UUID, mail: Mail) -> None:
        """A mail that goes when the transaction is committed."""
        mail_id = new_id()
        message = self._seal.close(msgspec.json.encode(mail), mail_id.bytes)
        await mails.enqueue(connection, tenant_id, mail_id, message)

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something after the answer, so that the time of the answer tells nothing of what was done."""
        if len(self._pending) >= MAX_PENDING:
            work.close()
            raise Unavailable("Too many mails are asked for at once; try again", code="busy", retry_after=1)
        task = asyncio.create_task(work)
        self._pending.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("mail not prepared", error=repr(error))

    def wake(self) -> None:
        """Looks for mails at once, after a commit."""
        after_commit(self._wake.set)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            while await self._round():
                pass
            await woken(self._wake, POLL_SECONDS)

    async def _round(self) -> bool:
        async with self._database.relay(RELAY) as connection:
            claimed = await mails.claim(connection, BATCH)
        for waiting in claimed:
            if await self._try(waiting):
                async with self._database.relay(RELAY) as connection:
                    await mails.done(connection, waiting.tenant_id, waiting.id)
        return len(claimed) == BATCH

    async def _try(self, waiting: Waiting) -> bool:
        mail = msgspec.json.decode(self._seal.open(waiting.message, waiting.id.bytes), type=Mail)
        assert self._send is not None
        try:
            await self._send(message_of(mail, self._sender, waiting.id))
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            given_up = waiting.attempts >= MAX_ATTEMPTS or isinstance(error, aiosmtplib.SMTPRecipientsRefused)
            await log.awarning("mail not sent", attempts=waiting.attempts, given_up=given_up, error=repr(error))
            return given_up
        return True


class _Verbatim(UnstructuredHeader):
    """A header of an address, which mail programs read as it stands: folding would encode it (RFC 2369, section 2)."""

    def fold(self, *, policy: "Policy[Any]") -> str:
        """The header on one line."""
        return f"List-Unsubscribe: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", cast(Any, _Verbatim))
_POLICY = SMTP.clone(header_factory=_HEADERS)


def message_of(mail: Mail, sender: str, mail_id: UUID) -> EmailMessage:
    """A mail as it travels (RFC 5322); a second sending of it has the same id."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = formatdate(clock.now().timestamp(), usegmt=True)
    message["Message-ID"] = f"<{mail_id}@millrace>"
    message["Auto-Submitted"] = "auto-generated"
    for name, value in mail.headers.items():
        message[name] = value
    message.set_content(mail.text, cte="quoted-printable")
    return message


def by_smtp(url: str) -> Send:
    """Sends by a server: `smtp://user:password@host:port`, `smtps://…`, or `smtp+starttls://…`."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps", "smtp+starttls") or not parts.hostname:
        raise ValueError("SMTP_URL is smtp://host:port, smtps://host:port or smtp+starttls://host:port")
    user, password = (unquote(it) if it else None for it in (parts.username, parts.password))

    async def send(message: EmailMessage) -> None:
        await aiosmtplib.send(
            message, hostname=parts.hostname, port=parts.port, username=user, password=password,
            use_tls=parts.scheme == "smtps", start_tls=parts.scheme == "smtp+starttls", timeout=SMTP_SECONDS,
        )  # fmt: skip

    return send


def into_directory(directory: Path) -> Send:
    """Keeps mails as files, newest last by name, and says in the log where, but not for whom."""

    async def send(message: EmailMessage) -> None:
        path = await asyncio.to_thread(_write, directory, message)
        await log.ainfo("mail written", path=str(path))

    return send


def _write(directory: Path, message: EmailMessage) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{clock.now():%Y%m%dT%H%M%S%f}-{new_id().hex[-6:]}.eml"
    draft = path.with_suffix(".draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(message.as_bytes())
    draft.rename(path)
    return path

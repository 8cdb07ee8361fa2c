"""A person's data out, or erased everywhere: asked for here, done service by service, told by a signed report.

An erasure takes the account out at once, with all that hangs on it, and the person's name out of the audit log, whose
entries stay. Then every service is asked in turn. The ids of people stay where they stand (who made a record): without
the account they name nobody. Records of the organization that hold the person's address in a field of type e-mail are
told in the report and left as they are: whether they go is the organization's to judge.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.errors import Conflict, NotFound, RateLimited, Unavailable
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from libs.common.persons import ERASED_NAME, Page, Question
from libs.common.postgres import Connection
from libs.common.resilience import end, keep_running
from services.auth.domain import compliance as rules
from services.auth.domain import people
from services.auth.domain.audit import Party, of_principal
from services.auth.domain.compliance import Job, Kind
from services.auth.domain.people import User
from services.auth.storage import audit, compliance, users
from services.auth.usecases.context import Context
from services.auth.usecases.persons import contribute
from services.auth.usecases.users import take_out

RELAY = "millrace_auth_relay"
POLL_SECONDS = 1.0
ASK_SECONDS = 20.0


class Subject(msgspec.Struct, frozen=True):
    """Who a request is about: a user, one of former times, or somebody who is only known by an address."""

    user_id: UUID | None
    email: str | None


async def request_export(
    context: Context, principal: Principal, permissions: Permissions, user_id: UUID | None, email: str | None
) -> Job:
    """Begins to gather what is held on a person; everyone may ask for their own."""
    managing = permissions.allow("manage", "organization")
    if user_id != principal.id:
        permissions.require("manage", "organization")
    async with context.database.tenant(principal.tenant_id) as connection:
        subject = await _subject(connection, principal.tenant_id, user_id, email)
        if not managing:
            # Records that hold the address are the organization's, whoever may read them: it tells of them, or not.
            subject = msgspec.structs.replace(subject, email=None)
        return await _begin(context, connection, principal, "export", subject, {})


async def request_erasure(
    context: Context, principal: Principal, permissions: Permissions, user_id: UUID | None, email: str | None
) -> Job:
    """Erases a person in auth, and begins to have them erased everywhere else."""
    permissions.require("manage", "organization")
    permissions.require("delete", "users")
    async with context.database.tenant(principal.tenant_id) as connection:
        subject = await _subject(connection, principal.tenant_id, user_id, email)
        if subject.user_id == principal.id:
            raise Conflict("Somebody else has to erase you", code="own-account")
        done = {}
        if subject.user_id is not None:
            done = await _erase(context, connection, principal, permissions, subject.user_id)
        return await _begin(context, connection, principal, "erasure", subject, done)


async def get(context: Context, principal: Principal, permissions: Permissions, kind: Kind, job_id: UUID) -> Job:
    """A request; those who asked for their own see it, and nobody in their name."""
    async with context.database.tenant(principal.tenant_id) as connection:
        found = await compliance.get(connection, principal.tenant_id, job_id)
    own = found is not None and found.kind == "export" and found.user_id == found.requested_by == principal.id
    if not own or principal.actor is not None:
        permissions.require("manage", "organization")
    if found is None or found.kind != kind:
        raise NotFound
    return found


async def page(
    context: Context, principal: Principal, permissions: Permissions, kind: Kind, after: UUID, limit: int
) -> list[Job]:
    """Requests of a kind."""
    permissions.require("manage", "organization")
    async with context.database.tenant(principal.tenant_id) as connection:
        return await compliance.page(connection, principal.tenant_id, kind, after, limit)


async def count(context: Context, principal: Principal, permissions: Permissions, kind: Kind) -> int:
    """How many requests of a kind are kept."""
    permissions.require("manage", "organization")
    async with context.database.tenant(principal.tenant_id) as connection:
        return await compliance.count(connection, principal.tenant_id, kind)


async def parts(context: Context, tenant_id: UUID, job_id: UUID) -> AsyncIterator[tuple[str, bytes]]:
    """The pieces of a report with their names, one in memory at a time."""
    number = 0
    while True:
        async with context.database.tenant(tenant_id) as connection:
            found = await compliance.part(connection, tenant_id, job_id, number)
        if found is None:
            return
        number, source, document = found
        yield rules.file_name(number, source), document


async def _subject(connection: Connection, tenant_id: UUID, user_id: UUID | None, email: str | None) -> Subject:
    if user_id is None:
        address = people.normalize_email(email or "")
        known = await users.credentials(connection, tenant_id, address)
        return Subject(known.id if known else None, address)
    user = await users.get(connection, tenant_id, user_id)
    if user is None and not await audit.known_salts(connection, tenant_id, [user_id]):
        raise NotFound
    return Subject(user_id, user.email if user else None)


async def _begin(
    context: Context, connection: Connection, principal: Principal, kind: Kind, subject: Subject,
    done: dict[str, dict[str, int]],
) -> Job:  # fmt: skip
    if await compliance.running(connection, principal.tenant_id) >= rules.MAX_RUNNING:
        raise RateLimited("Too many requests are under way; wait until one is done", code="busy", retry_after=60)
    source = rules.SOURCES[1] if kind == "erasure" else rules.SOURCES[0]
    job = Job(
        new_id(), kind, "running", subject.user_id, subject.email, principal.id, clock.now(), source, None, None, done
    )
    await compliance.insert(connection, principal.tenant_id, job)
    target = Party("user", subject.user_id) if subject.user_id else None
    await context.audit.note(
        connection, principal.tenant_id, f"person.{kind}_requested", of_principal(principal), target,
        details={"job_id": str(job.id)},
    )  # fmt: skip
    return job


async def _erase(
    context: Context, connection: Connection, principal: Principal, permissions: Permissions, user_id: UUID
) -> dict[str, dict[str, int]]:
    tenant_id, erased = principal.tenant_id, 0
    if await users.get(connection, tenant_id, user_id) is not None:
        await take_out(context, connection, principal, permissions, user_id, told_as=_anonymous)
        erased = 1
    await compliance.forget_person(connection, tenant_id, user_id)
    await context.audit.erase(connection, tenant_id, user_id)
    return {"auth": {"accounts": erased, "audit_names": 1}}


def _anonymous(user: User) -> User:
    return msgspec.structs.replace(user, email=f"{user.id}@erased.invalid", name=ERASED_NAME, status="deactivated")


class Officer:
    """Sees requests through, a page at a time, in whichever process comes first."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins."""
        self._loops.append(asyncio.create_task(keep_running("compliance", self._work)))

    async def stop(self) -> None:
        """Ends; the next process goes on."""
        await end(self._loops)

    async def _work(self) -> None:
        while True:
            async with self._context.database.relay(RELAY) as connection:
                found = await compliance.due(connection)
            for it in found:
                await self._step(it.tenant_id, it.id)
            if not found:
                with suppress(TimeoutError):
                    await asyncio.sleep(POLL_SECONDS)

    async def _step(self, tenant_id: UUID, job_id: UUID) -> None:
        """Asks for one page. Until it is noted the job stays where it is, so a crash asks for it again."""
        async with self._context.database.tenant(tenant_id) as connection:
            await compliance.forget(connection, tenant_id, job_id)
            job = await compliance.claim(connection, tenant_id, job_id)
        if job is None:
            return
        with suppress(Unavailable):
            found = await self._ask(tenant_id, job)
            async with self._context.database.tenant(tenant_id) as connection:
                if await compliance.hold(connection, tenant_id, job):
                    await self._note(connection, tenant_id, job, found)

    async def _ask(self, tenant_id: UUID, job: Job) -> Page:
        question = Question(tenant_id, job.kind, job.user_id, job.email, job.cursor)
        if job.source == "auth":
            return await contribute(self._context, question)
        return await self._context.bus.request(f"rpc.{job.source}.person", question, Page, seconds=ASK_SECONDS)

    async def _note(self, connection: Connection, tenant_id: UUID, job: Job, found: Page) -> None:
        if found.items:
            await compliance.add_part(connection, tenant_id, job.id, job.source, msgspec.json.encode(found.items))
        counts = {**found.erased, **({"items": len(found.items)} if found.items else {})}
        summary = rules.counted(job.summary, job.source, counts)
        source = job.source if found.cursor else rules.next_source(job.source)
        if source is not None:
            await compliance.advance(connection, tenant_id, job.id, source, found.cursor, summary)
            return
        await compliance.finish(connection, tenant_id, job.id, summary)
        target = Party("user", job.user_id) if job.user_id else None
        await self._context.audit.note(
            connection, tenant_id, f"person.{job.kind}_done", None, target, details={"job_id": str(job.id)}
        )

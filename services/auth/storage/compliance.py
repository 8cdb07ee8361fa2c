"""What people asked for: what is held on them, or that it be erased."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.clock import rfc3339
from libs.common.postgres import Connection
from services.auth.domain.audit import Kept
from services.auth.domain.compliance import Job, Kind

SQL = sql.load(__file__)


class Due(msgspec.Struct, frozen=True):
    """A job that there is something to do for."""

    tenant_id: UUID
    id: UUID


class JobRow(msgspec.Struct, frozen=True):
    """A job as it is stored; the summary is JSON text."""

    id: UUID
    kind: Kind
    state: Literal["running", "done"]
    user_id: UUID | None
    email: str | None
    requested_by: UUID
    requested_at: datetime
    source: str
    cursor: str | None
    finished_at: datetime | None
    summary: str

    def job(self) -> Job:
        """The job that the row tells of."""
        return Job(**msgspec.structs.asdict(self) | {"summary": msgspec.json.decode(self.summary)})


async def insert(connection: Connection, tenant_id: UUID, it: Job) -> None:
    """A new job."""
    values = (it.user_id, it.email, it.requested_by, it.requested_at, it.source, _text(it.summary))
    await connection.execute(SQL["insert"], tenant_id, it.id, it.kind, *values)


async def get(connection: Connection, tenant_id: UUID, job_id: UUID) -> Job | None:
    """A job."""
    row = await connection.fetchrow(SQL["get"], tenant_id, job_id)
    return JobRow(*row).job() if row else None


async def page(connection: Connection, tenant_id: UUID, kind: Kind, after: UUID, limit: int) -> list[Job]:
    """Jobs of a kind in the order of their ids."""
    return [JobRow(*row).job() for row in await connection.fetch(SQL["page"], tenant_id, kind, after, limit)]


async def count(connection: Connection, tenant_id: UUID, kind: Kind) -> int:
    """How many jobs of a kind there are."""
    return int(await connection.fetchval(SQL["count"], tenant_id, kind))


async def running(connection: Connection, tenant_id: UUID) -> int:
    """How many jobs of a tenant are under way."""
    return int(await connection.fetchval(SQL["running"], tenant_id))


async def due(connection: Connection) -> list[Due]:
    """Jobs of all tenants, as the relay sees them."""
    return [Due(*row) for row in await connection.fetch(SQL["due"])]


async def claim(connection: Connection, tenant_id: UUID, job_id: UUID) -> Job | None:
    """A job that nobody else works on for half a minute."""
    claimed = await connection.fetchval(SQL["claim"], tenant_id, job_id)
    return await get(connection, tenant_id, job_id) if claimed else None


async def hold(connection: Connection, tenant_id: UUID, it: Job) -> bool:
    """Whether the job is still where it was; nobody else moves it until the transaction ends."""
    return bool(await connection.fetchval(SQL["hold"], tenant_id, it.id, it.source, it.cursor))


async def advance(
    connection: Connection, tenant_id: UUID, job_id: UUID, source: str, cursor: str | None, summary: dict[str, Any]
) -> None:
    """Where the job goes on."""
    await connection.execute(SQL["advance"], tenant_id, job_id, source, cursor, _text(summary))


async def finish(connection: Connection, tenant_id: UUID, job_id: UUID, summary: dict[str, Any]) -> None:
    """The job is done."""
    await connection.execute(SQL["finish"], tenant_id, job_id, _text(summary))


async def add_part(connection: Connection, tenant_id: UUID, job_id: UUID, source: str, document: bytes) -> None:
    """A piece of the report."""
    await connection.execute(SQL["add_part"], tenant_id, job_id, source, document)


async def part(connection: Connection, tenant_id: UUID, job_id: UUID, after: int) -> tuple[int, str, bytes] | None:
    """The next piece of the report, from where it came."""
    row = await connection.fetchrow(SQL["part"], tenant_id, job_id, after)
    return (row[0], row[1], row[2]) if row else None


async def forget(connection: Connection, tenant_id: UUID, job_id: UUID) -> None:
    """Forgets an export that was kept for long enough."""
    await connection.execute(SQL["forget"], tenant_id, job_id)


async def forget_person(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    """Forgets a person's exports, and their name in sessions of others."""
    await connection.execute(SQL["forget_exports"], tenant_id, user_id)
    await connection.execute(SQL["forget_actor"], tenant_id, user_id)


async def holdings(connection: Connection, tenant_id: UUID, user_id: UUID) -> list[dict[str, Any]]:
    """A person's sessions and keys, as a report tells them."""
    found = [("session", row) for row in await connection.fetch(SQL["sessions"], tenant_id, user_id)]
    found += [("key", row) for row in await connection.fetch(SQL["keys"], tenant_id, user_id)]
    return [
        {"kind": kind, **{name: _told(value) for name, value in row.items() if name != "kind"}} for kind, row in found
    ]


async def entries(connection: Connection, tenant_id: UUID, user_id: UUID, after: int, limit: int) -> list[Kept]:
    """Entries of the audit log that a person did or met, after a number."""
    return [Kept(*row) for row in await connection.fetch(SQL["entries"], tenant_id, user_id, after, limit)]


def _told(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value


def _text(summary: dict[str, Any]) -> str:
    return msgspec.json.encode(summary).decode()

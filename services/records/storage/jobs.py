"""Jobs, and who works on which."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import sql
from libs.common.errors import WireError
from libs.common.identity import Principal
from libs.common.postgres import Connection, Database
from services.records.domain.jobs import Job

SQL = sql.load(__file__)
RELAY = "millrace_records_relay"

_json = msgspec.json.Encoder()


class JobRow(msgspec.Struct, frozen=True):
    """A job as it is stored; what is structured is JSON text."""

    id: UUID
    kind: str
    pipeline_id: UUID | None
    state: str
    input: str
    checkpoint: str
    done: int
    total: int | None
    created: int
    updated: int
    refused: int
    result: str | None
    error: str | None
    principal: str
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None


class Claim(msgspec.Struct, frozen=True):
    """One process's lease of a job; `owner` is made for this lease alone."""

    tenant_id: UUID
    job_id: UUID
    kind: str
    owner: UUID
    attempts: int


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """What a step adds to a job's counts; a checkpoint or total of null leaves what there is."""

    checkpoint: dict[str, Any] | None = None
    done: int = 0
    total: int | None = None
    created: int = 0
    updated: int = 0
    refused: int = 0


async def take(connection: Connection, tenant_id: UUID, limit: int) -> list[tuple[UUID, str | None]]:
    """Lets go of jobs of a tenant that is gone; each with the object that it was given, if any."""
    return [(row[0], row[1]) for row in await connection.fetch(SQL["take"], tenant_id, limit)]


async def insert(
    connection: Connection, by: Principal, job_id: UUID, kind: str, given: object, pipeline_id: UUID | None,
    total: int | None, seconds: float = 0.0,
) -> Job:  # fmt: skip
    """A new job that waits for someone to work on it, and so many seconds at least."""
    principal = _text(msgspec.structs.replace(by, token=""))
    row = await connection.fetchrow(
        SQL["insert"], by.tenant_id, job_id, kind, pipeline_id, _text(given), total, principal, by.id, seconds
    )
    return _job(row)


async def open_jobs(connection: Connection, tenant_id: UUID, kind: str | None = None) -> int:
    """How many jobs have not ended, of all kinds or of one."""
    found: int = await connection.fetchval(SQL["open"], tenant_id, kind)
    return found


async def get(connection: Connection, tenant_id: UUID, job_id: UUID) -> Job | None:
    """One job."""
    row = await connection.fetchrow(SQL["get"], tenant_id, job_id)
    return None if row is None else _job(row)


async def page(
    connection: Connection, tenant_id: UUID, before: UUID, made_by: UUID | None, kind: str | None, state: str | None,
    limit: int,
) -> list[Job]:  # fmt: skip
    """Jobs below an id, the newest first."""
    rows = await connection.fetch(SQL["page"], tenant_id, before, made_by, kind, state, limit)
    return [_job(row) for row in rows]


async def count(
    connection: Connection, tenant_id: UUID, made_by: UUID | None, kind: str | None, state: str | None
) -> int:
    """How many jobs `page` goes over."""
    return int(await connection.fetchval(SQL["count"], tenant_id, made_by, kind, state))


async def claim(database: Database, owner: UUID, seconds: float, most: int, kinds: Collection[str]) -> Claim | None:
    """A job of these kinds that waits, of any tenant that has not so many of them at work, leased for so long."""
    async with database.relay(RELAY) as connection:
        row = await connection.fetchrow(SQL["claim"], owner, seconds, most, list(kinds))
    return None if row is None else Claim(*row)


async def begin(connection: Connection, it: Claim) -> Job | None:
    """The job of a lease, which runs from now on."""
    row = await connection.fetchrow(SQL["begin"], it.tenant_id, it.job_id)
    return None if row is None else _job(row)


async def hold(connection: Connection, it: Claim, seconds: float, *, step: bool) -> bool:
    """Whether the lease is held; it is until the transaction ends, and so long after. A `step` gets the job on."""
    return bool(await connection.fetchval(SQL["hold"], it.tenant_id, it.job_id, it.owner, seconds, step))


async def renew(connection: Connection, it: Claim, seconds: float) -> bool:
    """Whether the lease is held, between steps."""
    return bool(await connection.fetchval(SQL["renew"], it.tenant_id, it.job_id, it.owner, seconds))


async def release(connection: Connection, it: Claim, seconds: float) -> None:
    """Lets others go on after so many seconds."""
    await connection.execute(SQL["release"], it.tenant_id, it.job_id, it.owner, seconds)


async def advance(connection: Connection, it: Claim, by: Advance) -> Job | None:
    """The job a step further."""
    checkpoint = None if by.checkpoint is None else _text(by.checkpoint)
    row = await connection.fetchrow(
        SQL["advance"], it.tenant_id, it.job_id, checkpoint, by.done, by.total, by.created, by.updated, by.refused
    )
    return None if row is None else _job(row)


async def unqueue(connection: Connection, tenant_id: UUID, job_id: UUID, owner: UUID | None = None) -> bool:
    """Takes a job from the queue; with an owner only if it is theirs."""
    return bool(await connection.fetchval(SQL["unqueue"], tenant_id, job_id, owner))


async def finish(
    connection: Connection, tenant_id: UUID, job_id: UUID, state: str, result: object = None,
    error: WireError | None = None,
) -> Job | None:  # fmt: skip
    """The job at its end; nothing where it had ended before."""
    shown = [None if it is None else _text(it) for it in (result, error)]
    row = await connection.fetchrow(SQL["finish"], tenant_id, job_id, state, *shown)
    return None if row is None else _job(row)


async def expire(connection: Connection, tenant_id: UUID) -> list[UUID]:
    """The exports whose results are kept no longer."""
    return [row[0] for row in await connection.fetch(SQL["expire"], tenant_id)]


def _text(value: object) -> str:
    return _json.encode(value).decode()


def _job(row: Any) -> Job:
    return Job(
        id=row["id"], kind=row["kind"], pipeline_id=row["pipeline_id"], state=row["state"],
        input=msgspec.json.decode(row["input"]), checkpoint=msgspec.json.decode(row["checkpoint"]),
        done=row["done"], total=row["total"], created=row["created"], updated=row["updated"], refused=row["refused"],
        result=msgspec.json.decode(row["result"]) if row["result"] else None,
        error=msgspec.json.decode(row["error"], type=WireError) if row["error"] else None,
        principal=msgspec.json.decode(row["principal"], type=Principal),
        created_at=row["created_at"], started_at=row["started_at"], updated_at=row["updated_at"],
        finished_at=row["finished_at"],
    )  # fmt: skip

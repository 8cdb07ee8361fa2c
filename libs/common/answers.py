"""Whole answers to requests, each kept for a day beside its effect, and given again to who asks the same."""

from hashlib import sha256
from typing import Final, Protocol
from uuid import UUID

import asyncpg
import msgspec
from litestar.types import Send

from libs.common.errors import Invalid
from libs.common.postgres import Connection, Database

PRUNED_AT_ONCE: Final = 1000

_FIND = """
select fingerprint, status, headers, body from idempotency
where tenant_id = $1 and principal_id = $2 and request = $3 and created_at >= now() - interval '24 hours'
"""
_KEEP = """
insert into idempotency as kept (tenant_id, principal_id, request, fingerprint, status, headers, body)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (tenant_id, principal_id, request) do update
set fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers, body = excluded.body,
    created_at = excluded.created_at
where kept.created_at < now() - interval '24 hours'
"""
_PRUNE = """
delete from idempotency as kept
using (
    select tenant_id, principal_id, request from idempotency
    where created_at < now() - interval '24 hours' order by created_at limit $1
) as old
where (kept.tenant_id, kept.principal_id, kept.request) = (old.tenant_id, old.principal_id, old.request)
"""

Headers = list[tuple[bytes, bytes]]


class Seal(Protocol):
    """Encrypts what is kept, where answers may tell secrets."""

    def close(self, plain: bytes, bound: bytes) -> bytes:
        """What is kept."""

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """What was given."""


class Plain:
    """Keeps answers as they are, where they tell no secrets."""

    def close(self, plain: bytes, bound: bytes) -> bytes:
        """The same."""
        return plain

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """The same."""
        return sealed


class Answer(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    headers: Headers
    body: bytes

    async def send(self, send: Send) -> None:
        """Answers with it."""
        headers = [*self.headers, (b"content-length", str(len(self.body)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class Asked(msgspec.Struct, frozen=True):
    """A request with a key: whose, which (a hash of method, path and key), and a hash of what it says."""

    tenant_id: UUID
    principal_id: UUID
    request: bytes
    fingerprint: bytes
    body: bytes

    @property
    def name(self) -> bytes:
        """What no other request has."""
        return self.tenant_id.bytes + self.principal_id.bytes + self.request

    @property
    def lock(self) -> int:
        """The number of its advisory lock."""
        return int.from_bytes(sha256(self.name).digest()[:8], signed=True)


async def find(connection: Connection, asked: Asked, seal: Seal) -> Answer | None:
    """The answer that was kept; `Invalid` where the key was used for another request."""
    row = await connection.fetchrow(_FIND, asked.tenant_id, asked.principal_id, asked.request)
    return None if row is None else _replayed(asked, row, seal)


async def keep(connection: Connection, asked: Asked, answer: Answer, seal: Seal) -> None:
    """Keeps an answer in the transaction of its effect."""
    body = seal.close(answer.body, asked.name)
    headers = msgspec.json.encode([(n.decode("latin-1"), v.decode("latin-1")) for n, v in answer.headers])
    await connection.execute(
        _KEEP, asked.tenant_id, asked.principal_id, asked.request, asked.fingerprint, answer.status, headers, body
    )


async def prune(database: Database, service: str, limit: int = PRUNED_AT_ONCE) -> int:
    """Takes away up to so many answers of all tenants that are older than a day; returns how many there were."""
    async with database.relay(f"millrace_{service}_relay") as connection:
        done: str = await connection.execute(_PRUNE, limit)
    return int(done.split()[-1])


def _replayed(asked: Asked, row: "asyncpg.Record", seal: Seal) -> Answer:
    if row["fingerprint"] != asked.fingerprint:
        detail = "The Idempotency-Key was used for a request that said something else"
        raise Invalid(detail, code="idempotency-key-reused")
    kept = msgspec.json.decode(row["headers"], type=list[tuple[str, str]])
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept]
    return Answer(row["status"], [*headers, (b"idempotency-replayed", b"true")], seal.open(row["body"], asked.name))

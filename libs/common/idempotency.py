"""Requests with an `Idempotency-Key` have one effect and one answer (draft-ietf-httpapi-idempotency-key-header).

The whole request runs in one outer transaction, in which its answer is kept beside its effect: both are committed, and
then told, or neither is. What is not answered with 2xx is rolled back, so the key may be used again. An advisory lock
puts requests with one key into order; it needs no transaction id, so nothing else waits for what a handler waits for.

What a handler asks of servers out there it asks by `aside(…)`: the transaction ends, the question is asked, and the
handler runs once more from its beginning, with what came of the question.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID
from weakref import WeakValueDictionary

import asyncpg
import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from libs.common.edge import respond
from libs.common.errors import AppError, Conflict, Invalid, Malformed, TooLarge, Unavailable
from libs.common.identity import Principal
from libs.common.postgres import Connection, Database
from libs.common.resilience import keep_running
from libs.common.tokens import bearer

METHODS = frozenset(("POST", "PATCH"))
# Signing in answers with tokens, which are not kept, and what it finds wrong must not be rolled back.
EXEMPT = "/api/v1/auth/"
MAX_KEY = 255
MAX_ANSWER_BYTES = 4 * 1024 * 1024
WAIT_SECONDS = 5.0
PRUNE_SECONDS = 60.0
PRUNED_AT_ONCE = 1000

_OURS = frozenset((b"content-length", b"date", b"server", b"set-cookie"))

_LOCK = "select pg_advisory_xact_lock($1)"
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
Authenticate = Callable[[str], Awaitable[tuple[Principal, object]]]


class Seal(Protocol):
    """Encrypts what is kept, where answers may tell secrets."""

    def close(self, plain: bytes, bound: bytes) -> bytes:
        """What is kept."""

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """What was given."""


class _Open:
    def close(self, plain: bytes, bound: bytes) -> bytes:
        return plain

    def open(self, sealed: bytes, bound: bytes) -> bytes:
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


class _Refused(Exception):
    """Ends the outer transaction of a request that is not answered with success."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__()


class _Asides:
    """The question of a handler that has to be asked outside of the transaction, and what came of it."""

    def __init__(self) -> None:
        self.waiting: Callable[[], Awaitable[None]] | None = None
        self.asked = False
        self.error: AppError | None = None

    async def ask(self, question: Callable[[], Awaitable[None]]) -> None:
        """Asks, and keeps what is wrong."""
        self.waiting, self.asked = None, True
        try:
            await question()
        except AppError as error:
            self.error = error


_asides: ContextVar[_Asides | None] = ContextVar("asides", default=None)


async def aside(question: Callable[[], Awaitable[None]]) -> None:
    """Asks something that may take long, never within the one transaction of a request with a key.

    A handler may do so once, and before it changes anything. Other handlers than those of such requests just ask.
    """
    asides = _asides.get()
    if asides is None:
        return await question()
    if not asides.asked:
        asides.waiting = question
        raise Unavailable("The request goes on when its question is answered", code="busy", retry_after=1)
    if asides.error is not None:
        raise asides.error


class Idempotent:
    """An ASGI layer around a service's application. Requests without the header pass through it untouched."""

    def __init__(
        self, app: ASGIApp, service: str, database: Database, authenticate: Authenticate, max_body: int,
        seal: Seal | None = None,
    ) -> None:  # fmt: skip
        self._app = app
        self._service = service
        self._database = database
        self._authenticate = authenticate
        self._max_body = max_body
        self._seal = seal or _Open()
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        # Handlers may need a second connection, for what is of no tenant: half of the pool is left for those.
        self._room = asyncio.Semaphore(max(1, database.size // 2))

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answers a request that has a key; passes any other on."""
        if scope["type"] != "http" or scope["method"] not in METHODS:
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        if b"idempotency-key" not in headers or b"authorization" not in headers or scope["path"].startswith(EXEMPT):
            return await self._app(scope, receive, send)
        try:
            answer = await self._answer(scope, receive, await self._asked(scope, receive, headers))
        except AppError as error:
            return await respond(error, scope, send)
        await answer.send(send)

    async def _asked(self, scope: Any, receive: Receive, headers: dict[bytes, bytes]) -> Asked:
        key = _key(scope["headers"])
        principal, _ = await self._authenticate(bearer(headers[b"authorization"].decode("latin-1")))
        body = await self._read(receive, headers.get(b"content-length", b""))
        method, path = scope["method"].encode(), scope["path"].encode("utf-8", "surrogateescape")
        media = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        said = _hash(scope["query_string"], media, body)
        return Asked(principal.tenant_id, principal.id, _hash(method, path, key), said, body)

    async def _read(self, receive: Receive, length: bytes) -> bytes:
        if length.isdigit() and int(length) > self._max_body:
            raise self._too_large()
        body = bytearray()
        more = True
        while more:
            message: Any = await receive()
            if message["type"] != "http.request":
                raise Malformed("The body ended early")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_body:
                raise self._too_large()
        return bytes(body)

    def _too_large(self) -> TooLarge:
        detail = f"With an Idempotency-Key a body has at most {self._max_body} bytes; send it without one"
        return TooLarge(detail, code="idempotent-body-too-large")

    async def _answer(self, scope: Any, receive: Receive, asked: Asked) -> Answer:
        asides, fresh = _Asides(), {**scope, "state": {**scope.get("state", {})}}
        token = _asides.set(asides)
        try:
            async with self._turn(asked):
                answer = await self._whole(scope, receive, asked)
                if asides.waiting is None:
                    return answer
                await asides.ask(asides.waiting)
                scope.clear()
                scope.update(fresh)
                return await self._whole(scope, receive, asked)
        finally:
            _asides.reset(token)

    async def _whole(self, scope: Any, receive: Receive, asked: Asked) -> Answer:
        """The answer in a transaction of its own, which is rolled back where it is none of success."""
        try:
            async with self._database.outer(asked.tenant_id) as connection:
                return await self._once(scope, receive, asked, connection)
        except _Refused as refused:
            return refused.answer

    @asynccontextmanager
    async def _turn(self, asked: Asked) -> AsyncIterator[None]:
        """Waits here for the others of this process with the same key, not with a connection each."""
        turn = self._turns.setdefault(asked.name, asyncio.Lock())
        try:
            await _within(turn.acquire())
        except TimeoutError:
            raise _in_use() from None
        try:
            await self._enter()
            try:
                yield
            finally:
                self._room.release()
        finally:
            turn.release()

    async def _enter(self) -> None:
        try:
            await _within(self._room.acquire())
        except TimeoutError:
            raise Unavailable("Too many requests with an Idempotency-Key at once", code="busy", retry_after=1) from None

    async def _once(self, scope: Any, receive: Receive, asked: Asked, connection: Connection) -> Answer:
        try:
            await connection.execute(_LOCK, asked.lock)
        except asyncpg.LockNotAvailableError:
            raise _in_use() from None
        row = await connection.fetchrow(_FIND, asked.tenant_id, asked.principal_id, asked.request)
        if row is not None:
            scope["path_template"] = "replayed"
            return self._replayed(asked, row)
        answer = await _run(self._app, scope, receive, asked.body)
        if not 200 <= answer.status < 300:
            raise _Refused(answer)
        body = self._seal.close(answer.body, asked.name)
        headers = msgspec.json.encode([(n.decode("latin-1"), v.decode("latin-1")) for n, v in answer.headers])
        await connection.execute(
            _KEEP, asked.tenant_id, asked.principal_id, asked.request, asked.fingerprint, answer.status, headers, body
        )
        return answer

    def _replayed(self, asked: Asked, row: "asyncpg.Record") -> Answer:
        if row["fingerprint"] != asked.fingerprint:
            detail = "The Idempotency-Key was used for a request that said something else"
            raise Invalid(detail, code="idempotency-key-reused")
        kept = msgspec.json.decode(row["headers"], type=list[tuple[str, str]])
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept]
        body = self._seal.open(row["body"], asked.name)
        return Answer(row["status"], [*headers, (b"idempotency-replayed", b"true")], body)

    async def run(self) -> None:
        """Takes away, for ever, what was kept for a day."""

        async def rounds() -> None:
            while True:
                while await prune(self._database, self._service) == PRUNED_AT_ONCE:
                    pass
                await asyncio.sleep(PRUNE_SECONDS)

        await keep_running("idempotency keys", rounds, cap=PRUNE_SECONDS)


async def prune(database: Database, service: str, limit: int = PRUNED_AT_ONCE) -> int:
    """Takes away up to so many answers of all tenants that are older than a day; returns how many there were."""
    async with database.relay(f"millrace_{service}_relay") as connection:
        done: str = await connection.execute(_PRUNE, limit)
    return int(done.split()[-1])


def document(schema: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document, with the header where it is taken."""
    parameter = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same key and body within 24 hours give the first answer again; another body is refused.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
    }
    for path, item in schema.get("paths", {}).items():
        for method in ("post", "patch"):
            if method in item and path.startswith("/api/") and not path.startswith(EXEMPT):
                item[method].setdefault("parameters", []).append(parameter)
    return schema


async def _run(app: ASGIApp, scope: Scope, receive: Receive, body: bytes) -> Answer:
    """What an application answers. An answer that is too large to be kept is refused, and so what it tells of."""
    start: dict[str, Any] = {}
    chunks = bytearray()
    given = False

    async def read() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def take(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body" and len(chunks) <= MAX_ANSWER_BYTES:
            chunks.extend(message.get("body", b""))
        if len(chunks) > MAX_ANSWER_BYTES:
            raise _answer_too_large()

    try:
        await app(scope, read, take)
    except Exception:
        if len(chunks) <= MAX_ANSWER_BYTES:
            raise
    if len(chunks) > MAX_ANSWER_BYTES:
        raise _answer_too_large()
    headers = [(bytes(name), bytes(value)) for name, value in start["headers"] if name.lower() not in _OURS]
    return Answer(start["status"], headers, bytes(chunks))


def _key(headers: Any) -> bytes:
    given = [value.strip() for name, value in headers if name == b"idempotency-key"]
    if len(given) != 1 or not 0 < len(given[0]) <= MAX_KEY:
        raise Malformed(f"An Idempotency-Key is one of 1 to {MAX_KEY} characters", code="invalid-idempotency-key")
    key: bytes = given[0]
    return key


def _hash(*parts: bytes) -> bytes:
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.digest()


def _in_use() -> Conflict:
    detail = "A request with this Idempotency-Key is being answered; try again"
    return Conflict(detail, code="idempotency-key-in-use", retry_after=1)


def _answer_too_large() -> TooLarge:
    detail = f"With an Idempotency-Key an answer has at most {MAX_ANSWER_BYTES} bytes; nothing was done"
    return TooLarge(detail, code="idempotent-answer-too-large")


async def _within(work: Awaitable[object]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        await work

"""Requests with an `Idempotency-Key` have one effect and one answer (draft-ietf-httpapi-idempotency-key-header).

The whole request runs in one outer transaction, in which its answer is kept beside its effect: both are committed, and
then told, or neither is. What is not answered with 2xx is rolled back, so the key may be used again. An advisory lock
puts requests with one key into order; it needs no transaction id, so nothing else waits for what a handler waits for.

What a handler asks of servers out there it asks by `asides.aside(…)`: the transaction ends, the question is asked, and
the handler runs once more from its beginning, with what came of the question.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any
from weakref import WeakValueDictionary

import asyncpg
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from libs.common import answers, asides
from libs.common.answers import Answer, Asked, Plain, Seal
from libs.common.edge import respond
from libs.common.errors import AppError, Conflict, Malformed, TooLarge, Unavailable
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

_OURS = frozenset((b"content-length", b"date", b"server", b"set-cookie"))
_LOCK = "select pg_advisory_xact_lock($1)"

Authenticate = Callable[[str], Awaitable[tuple[Principal, object]]]


class _Refused(Exception):
    """Ends the outer transaction of a request that is not answered with success."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__()


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
        self._seal = seal or Plain()
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
        aside, fresh = asides.Asides(), {**scope, "state": {**scope.get("state", {})}}
        token = asides.running.set(aside)
        try:
            async with self._turn(asked):
                answer = await self._whole(scope, receive, asked)
                if aside.waiting is None:
                    return answer
                await aside.ask(aside.waiting)
                scope.clear()
                scope.update(fresh)
                return await self._whole(scope, receive, asked)
        finally:
            asides.running.reset(token)

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
        kept = await answers.find(connection, asked, self._seal)
        if kept is not None:
            scope["path_template"] = "replayed"
            return kept
        answer = await _run(self._app, scope, receive, asked.body)
        if not 200 <= answer.status < 300:
            raise _Refused(answer)
        await answers.keep(connection, asked, answer, self._seal)
        return answer

    async def run(self) -> None:
        """Takes away, for ever, what was kept for a day."""

        async def rounds() -> None:
            while True:
                while await answers.prune(self._database, self._service) == answers.PRUNED_AT_ONCE:
                    pass
                await asyncio.sleep(PRUNE_SECONDS)

        await keep_running("idempotency keys", rounds, cap=PRUNE_SECONDS)


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

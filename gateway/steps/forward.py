"""Step 14: the request to its service and the answer back, streamed both ways with backpressure.

A request is sent twice only when it cannot have had an effect twice: any that found no connection, and an idempotent
one (RFC 9110 §9.2.2, or by its Idempotency-Key) whose body is in memory, when the connection closed before anything was
answered. It goes on a new connection to the same instance where a pooled one was closed, then to others.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

import structlog

from gateway.body import ClientGone, receive, too_large
from gateway.exchange import Exchange, Header
from gateway.steps.shed import move
from gateway.upstream.connection import Connection, request_head
from gateway.upstream.errors import BrokenOff, ConnectFailed, StaleConnection, UpstreamError, UpstreamTimeout
from gateway.upstream.pool import Upstream
from libs.common.errors import AppError, Unavailable

BODY_SECONDS = 60.0
_IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
_HEED_KEYS: Final = frozenset(("auth", "pipelines", "records"))
_NOT_PASSED_BACK: Final = frozenset((
    b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"proxy-authenticate",
    b"proxy-connection", b"server", b"date", b"x-request-id", b"x-content-type-options", b"x-frame-options",
    b"referrer-policy",
))  # fmt: skip
log = structlog.get_logger()


class Course(Protocol):
    """What the forwarder leaves to the way that the request is on."""

    def end(self, exchange: Exchange) -> None:
        """The request is answered."""

    def go_on(self, exchange: Exchange, waiting: Awaitable[None]) -> Coroutine[Any, Any, None]:
        """The rest of the request, with waiting."""


class Forward:
    """Sends the request on and the answer back."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body = max_body_bytes
        self._loop = asyncio.get_running_loop()

    def begin(self, exchange: Exchange, course: Course) -> bool:
        """Sends a request without a body on an idle connection; false when that cannot be, and nothing was done."""
        assert exchange.route is not None
        assert exchange.upstream is not None
        connection = None if exchange.has_body else exchange.upstream.idle_connection()
        if connection is None:
            return False
        deadline = self._loop.time() + exchange.route.answer_seconds
        connection.begin(_head(exchange), is_head=exchange.method == "HEAD", deadline=deadline)
        exchange.client.on_gone = connection.abort
        connection.on_answer = partial(self._answered, exchange, course)
        return True

    def _answered(self, exchange: Exchange, course: Course, connection: Connection) -> None:
        """What `begin` has sent is answered, at least in part, or has failed."""
        assert exchange.upstream is not None
        if connection.complete and connection.failure is None and _reply(exchange, connection):
            exchange.upstream.release(connection)
            course.end(exchange)
        else:
            exchange.client.spawn(course.go_on(exchange, self._resume(exchange, connection)))

    async def _resume(self, exchange: Exchange, connection: Connection) -> None:
        assert exchange.upstream is not None
        if connection.failure is None:
            await self._relay(exchange, connection, None)
            return
        exchange.upstream.release(connection)
        if not _repeatable(exchange) or not isinstance(connection.failure, StaleConnection | BrokenOff):
            raise _failure(exchange, connection.failure)
        if isinstance(connection.failure, BrokenOff) and move(exchange, (exchange.upstream,)) is None:
            raise _failure(exchange, connection.failure)
        await self(exchange)

    async def __call__(self, exchange: Exchange) -> None:
        """Answers the client with what the service answers."""
        assert exchange.route is not None
        assert exchange.upstream is not None
        if exchange.client.disconnected:
            raise ClientGone
        upload = Upload(exchange, exchange.route.body_bytes or self._max_body)
        if exchange.has_body:
            await upload.begin()
        try:
            connection = await self._reach(exchange, exchange.upstream, upload)
        except UpstreamError as error:
            raise upload.refusal or _failure(exchange, error) from error
        await self._relay(exchange, connection, upload)

    async def _reach(self, exchange: Exchange, upstream: Upstream, upload: "Upload") -> Connection:
        """A connection on which the answer of an instance has begun, of the first that can be reached."""
        tried = {upstream}
        while True:
            try:
                return await self._send(exchange, upstream, upload)
            except UpstreamError as error:
                other = move(exchange, tried) if _may_be_sent_again(exchange, upload, error) else None
                if other is None:
                    raise
                tried.add(upstream := other)

    async def _send(self, exchange: Exchange, upstream: Upstream, upload: "Upload") -> Connection:
        """A connection on which the answer has begun."""
        assert exchange.route is not None
        head = _head(exchange, upload)
        connection = await upstream.connection()
        while True:
            try:
                deadline = self._loop.time() + exchange.route.answer_seconds
                connection.begin(head + upload.first, is_head=exchange.method == "HEAD", deadline=deadline)
                exchange.client.on_gone = connection.abort
                upload.follow(connection, exchange.route.answer_seconds)
                await connection.head()
                return connection
            except StaleConnection:
                upstream.release(connection)
                if upload.more or not _repeatable(exchange):
                    upload.unfinished()
                    raise
                connection = await upstream.fresh_connection()
            except BaseException:
                upload.unfinished()
                connection.abort()
                upstream.release(connection)
                raise

    async def _relay(self, exchange: Exchange, connection: Connection, upload: "Upload | None") -> None:
        assert exchange.upstream is not None
        try:
            if not (connection.complete and _reply(exchange, connection)):
                await self._stream(exchange, connection)
        except UpstreamError as error:
            if exchange.client.disconnected:
                raise ClientGone from error
            await log.awarning("the answer broke off", upstream=exchange.upstream.name, error=repr(error))
        finally:
            exchange.client.on_gone = None
            if upload is not None and upload.unfinished():
                connection.keep_alive = False
            exchange.upstream.release(connection)

    async def _stream(self, exchange: Exchange, connection: Connection) -> None:
        exchange.answered = True
        exchange.status = connection.status
        headers = _headers(exchange, connection)
        await exchange.channel.send({"type": "http.response.start", "status": connection.status, "headers": headers})
        while True:
            connection.deadline = self._loop.time() + BODY_SECONDS
            data = await connection.chunk()
            if connection.complete:
                break
            await exchange.channel.send({"type": "http.response.body", "body": data, "more_body": True})
        await exchange.channel.send({"type": "http.response.body", "body": data, "more_body": False})


class Upload:
    """The way of the request body: what has come with the head goes with the head, the rest follows in a task."""

    __slots__ = ("_exchange", "_limit", "_task", "chunked", "first", "more", "refusal")

    def __init__(self, exchange: Exchange, limit: int) -> None:
        self._exchange = exchange
        self._limit = limit
        self._task: asyncio.Task[None] | None = None
        self.first = b""
        self.more = False
        self.chunked = False
        self.refusal: AppError | None = None

    async def begin(self) -> None:
        """Reads what is there; a body that is known to be too large is refused before."""
        exchange = self._exchange
        if int(exchange.known.get(b"content-length", b"0")) > self._limit:
            raise too_large(self._limit)
        if exchange.buffered is not None:
            self.first = exchange.buffered
            return
        self.first, self.more = await receive(exchange, self._limit)
        self.chunked = self.more and b"content-length" not in exchange.known
        if self.chunked:
            self.first = _chunk(self.first)

    @property
    def whole(self) -> bool:
        """Whether all of the body that was received so far is in `first`, from where it can be sent again."""
        return self._task is None and self.refusal is None

    def length_line(self) -> bytes:
        """How the body is framed towards the service: by one length, or in chunks."""
        if self.chunked:
            return b"transfer-encoding: chunked\r\n"
        length = self._exchange.known.get(b"content-length")
        if length is None and self._exchange.has_body:
            length = b"%d" % len(self.first)
        return b"content-length: %b\r\n" % length if length is not None else b""

    def follow(self, connection: Connection, answer_seconds: float) -> None:
        """Starts sending the rest."""
        if self.more and self._task is None:
            self._task = asyncio.create_task(self._pump(connection, answer_seconds))

    def unfinished(self) -> bool:
        """Whether the service has not got the whole body; nothing more is sent."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
        return self.more

    async def _pump(self, connection: Connection, answer_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self.more:
                await connection.drained()
                data, more = await receive(self._exchange, self._limit)
                connection.write(_chunk(data) if self.chunked else data)
                connection.deadline = loop.time() + answer_seconds
                self.more = more
            if self.chunked:
                connection.write(b"0\r\n\r\n")
        except AppError as error:
            self.refusal = error
            connection.abort()
        except ClientGone:
            connection.abort()


def _repeatable(exchange: Exchange) -> bool:
    """Whether a request that may have been received can be sent again: by its method, or by a key its service heeds."""
    if exchange.method in _IDEMPOTENT:
        return True
    known, route = exchange.known, exchange.route
    return (
        b"idempotency-key" in known
        and b"authorization" in known
        and route is not None
        and route.service in _HEED_KEYS
        and not exchange.path.startswith(b"/api/v1/auth/")
    )


def _may_be_sent_again(exchange: Exchange, upload: "Upload", error: UpstreamError) -> bool:
    if exchange.client.disconnected or not upload.whole:
        return False
    return isinstance(error, ConnectFailed) or (
        not upload.more and _repeatable(exchange) and isinstance(error, StaleConnection | BrokenOff)
    )


def _head(exchange: Exchange, upload: Upload | None = None) -> bytes:
    assert exchange.upstream is not None
    lines = service_lines(exchange, upload)
    return request_head(exchange.method.encode(), target(exchange), exchange.upstream.host, lines)


def target(exchange: Exchange) -> bytes:
    """The request target, as the service gets it."""
    return exchange.path + b"?" + exchange.query if exchange.query else exchange.path


def service_lines(exchange: Exchange, upload: Upload | None = None) -> list[bytes]:
    """The header lines for the service: the client's, and what the gateway alone may say."""
    own = (
        f"x-request-id: {exchange.request_id}\r\ntraceparent: {exchange.traceparent}\r\n"
        f"x-forwarded-for: {exchange.address}\r\nx-forwarded-host: {exchange.host}\r\n"
        f"x-forwarded-proto: {exchange.scheme}\r\n"
    )
    if exchange.principal is None and exchange.tenant_id is not None and exchange.tenant_id.int:
        own += f"x-millrace-tenant: {exchange.tenant_id}\r\n"
    return [*exchange.lines, own.encode(), upload.length_line() if upload is not None else b""]


def _headers(exchange: Exchange, connection: Connection) -> list[Header]:
    headers = [header for header in connection.headers if header[0] not in _NOT_PASSED_BACK]
    if connection.status in (204, 304):
        headers = [header for header in headers if header[0] != b"content-length"]
    return headers + exchange.answer_headers()


def _reply(exchange: Exchange, connection: Connection) -> bool:
    """Sends a complete answer in one piece; false when the client has to be waited for."""
    body = connection.take()
    if exchange.client.reply(connection.status, _lines(exchange, connection, len(body)), body):
        exchange.answered = True
        exchange.status = connection.status
        return True
    connection.put_back(body)
    return False


def _lines(exchange: Exchange, connection: Connection, length: int) -> list[bytes]:
    lines: list[bytes] = []
    for name, value in connection.headers:
        if name not in _NOT_PASSED_BACK:
            lines += (name, b": ", value, b"\r\n")
    if not connection.has_length and not connection.bodiless:
        lines.append(b"content-length: %d\r\n" % length)
    return lines + exchange.answer_lines


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _failure(exchange: Exchange, error: UpstreamError) -> Exception:
    assert exchange.upstream is not None
    return ClientGone() if exchange.client.disconnected else _unavailable(exchange.upstream.name, error)


def _unavailable(name: str, error: UpstreamError) -> AppError:
    if isinstance(error, ConnectFailed):
        return Unavailable(f"{name} is away.", code="upstream-unavailable", retry_after=1)
    if isinstance(error, UpstreamTimeout):
        return Unavailable(f"{name} did not answer in time.", code="upstream-timeout", retry_after=2)
    return Unavailable(f"{name} broke off before it answered.", code="upstream-broken", retry_after=1)

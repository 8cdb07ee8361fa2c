"""One HTTP/1.1 connection to a service on `httptools` (llhttp): one exchange at a time, streamed both ways.

Written for few allocations: a small answer costs one future, and no task or timer. Deadlines are watched by the
pool's sweeper. RFC 9112: interim (1xx) answers are skipped, HEAD, 204 and 304 have no body, trailers are dropped,
and whatever follows a complete answer poisons the connection, so that no answer can reach another request.
"""

import asyncio
from collections.abc import Callable, Iterable

import httptools

from gateway.upstream.errors import BrokenOff, BrokenResponse, StaleConnection, UpstreamError, UpstreamTimeout

HIGH_WATER = 256 * 1024
MAX_HEAD = 64 * 1024


class Connection(asyncio.Protocol):
    """A connection to a service; `begin`, `write`…, `head`, `chunk`…, then back to the pool or `abort`."""

    __slots__ = (
        "_body", "_buffered", "_drain", "_head_bytes", "_interim", "_loop", "_parser", "_reading_paused",
        "_transport", "_waiter", "answered", "complete", "deadline", "failure", "has_length", "headers", "idle_since",
        "is_head", "keep_alive", "on_answer", "started", "status", "used",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drain: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._body: list[bytes] = []
        self.failure: UpstreamError | None = None
        self.used = False
        self.idle_since = 0.0
        self._reset(is_head=False, deadline=float("inf"))
        self.complete = True

    def _reset(self, is_head: bool, deadline: float) -> None:
        self.is_head = is_head
        self.on_answer: Callable[[Connection], None] | None = None
        self.deadline = deadline
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.answered = self.started = self.complete = self.keep_alive = False
        self._interim = self.has_length = False
        self._head_bytes = self._buffered = 0
        self._body.clear()

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow on this connection."""
        transport = self._transport
        return self.complete and self.keep_alive and self.failure is None and not (
            transport is None or transport.is_closing()
        )  # fmt: skip

    @property
    def bodiless(self) -> bool:
        """Whether the answer has no body by its kind (RFC 9110 §6.4.1)."""
        return self.is_head or self.status in (204, 304)

    def begin(self, head: bytes, *, is_head: bool, deadline: float) -> None:
        """Sends a request head (and what of the body came with it). `deadline` is a time of the event loop."""
        if self.failure is not None or self._transport is None:
            raise self.failure or StaleConnection("closed while idle")
        self._reset(is_head, deadline)
        self._transport.write(head)

    def write(self, data: bytes) -> None:
        """Sends a piece of the request body as it stands on the wire."""
        if self._transport is not None and self.failure is None:
            self._transport.write(data)

    async def drained(self) -> None:
        """Waits until the service has taken most of what was written."""
        if self._drain is not None:
            await self._drain

    async def head(self) -> None:
        """Waits for the status and headers of the final answer."""
        while not self.started:
            await self._wait()

    async def chunk(self) -> bytes:
        """The next piece of the body; empty at its end."""
        while not self._body:
            if self.complete:
                return b""
            await self._wait()
        return self.take()

    def take(self) -> bytes:
        """What of the body is there."""
        data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._buffered = 0
        if self._reading_paused:
            self._resume_reading()
        return data

    def put_back(self, data: bytes) -> None:
        """Gives a piece back that `chunk` gave, to be taken again."""
        if data:
            self._body.insert(0, data)

    def abort(self) -> None:
        """Drops the connection at once."""
        self._fail(BrokenResponse("given up by the gateway"))

    def expire(self) -> None:
        """Called by the sweeper when the deadline has passed."""
        self._fail(UpstreamTimeout("no answer in time"))

    def close(self) -> None:
        """Closes an idle connection."""
        if self._transport is not None:
            self._transport.close()

    async def _wait(self) -> None:
        if self.failure is not None:
            raise self.failure
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: UpstreamError) -> None:
        if self.failure is None:
            self.failure = error
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
            self._tell()
        self._release_writer()
        if self._transport is not None:
            self._transport.abort()

    def _tell(self) -> None:
        """Calls back once, when the answer has begun or failed."""
        if self.on_answer is not None:
            tell, self.on_answer = self.on_answer, None
            tell(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The transport is there."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer, or of nothing that was asked for."""
        if self.complete:
            self._fail(BrokenResponse("data that belongs to no request"))
            return
        self.answered = True
        if not self.started:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._unreadable(error)
        if not self.started and self._head_bytes > MAX_HEAD:
            self._fail(BrokenResponse("headers too large"))
        elif self.started and self.on_answer is not None:
            self._tell()

    def _unreadable(self, error: Exception) -> None:
        if self.complete:
            self.keep_alive = False
        else:
            self._fail(BrokenResponse(f"not HTTP: {error}"))

    def eof_received(self) -> None:
        """The service will send nothing more: the transport closes."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """What it means depends on how far the answer had come."""
        self._transport = None
        if self.complete:
            self._fail(StaleConnection("closed while idle"))
        elif self.started and self._ends_with_connection and exc is None:
            self._finish()
        elif not self.answered and self.used:
            self._fail(StaleConnection("closed before it answered"))
        else:
            self._fail(BrokenResponse("broke off") if self.answered else BrokenOff("broke off"))

    @property
    def _ends_with_connection(self) -> bool:
        """RFC 9112 §6.3: a body with neither length nor chunks lasts until the connection closes."""
        return not self.has_length and not any(name == b"transfer-encoding" for name, _ in self.headers)

    def pause_writing(self) -> None:
        """The service takes no more for now."""
        if self._drain is None:
            self._drain = self._loop.create_future()

    def resume_writing(self) -> None:
        """The service takes again."""
        self._release_writer()

    def _release_writer(self) -> None:
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._drain = None

    def _resume_reading(self) -> None:
        self._reading_paused = False
        if self._transport is not None:
            self._transport.resume_reading()

    def on_message_begin(self) -> None:
        """A second answer on one request is nobody's."""
        if self.complete:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer; trailers are dropped."""
        if not self.started:
            name = name.lower()
            self.headers.append((name, value))
            if name == b"content-length":
                self.has_length = True

    def on_headers_complete(self) -> None:
        """The head is complete: interim, without a body, or followed by one."""
        if self.complete:
            return
        status = self._parser.get_status_code()
        self._interim = status < 200
        if self._interim:
            self.headers.clear()
            self.has_length = False
        if status == 101 or status > 599:
            self._fail(BrokenResponse(f"status {status} unasked"))
        if self._interim:
            return
        self.status = status
        self.started = True
        if self.bodiless:
            self.keep_alive = self._parser.should_keep_alive()
            self._finish()
        if self._waiter is not None:
            self._wake()

    def on_body(self, data: bytes) -> None:
        """A piece of the body; reading stops while too much waits to be taken."""
        if self.complete:
            self.keep_alive = False
            return
        self._body.append(data)
        self._buffered += len(data)
        if self._buffered > HIGH_WATER and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
        if self._waiter is not None:
            self._wake()

    def on_message_complete(self) -> None:
        """The answer, or an interim one, is complete."""
        if self._interim:
            self._interim = False
        elif not self.complete:
            self.keep_alive = self._parser.should_keep_alive()
            self._finish()

    def _finish(self) -> None:
        self.complete = True
        if self.is_head:
            self._parser = httptools.HttpResponseParser(self)
        if self._reading_paused:
            self._resume_reading()
        if self._waiter is not None:
            self._wake()


def request_head(method: bytes, target: bytes, host: bytes, lines: Iterable[bytes]) -> bytes:
    """The head of a request; `lines` are complete header lines."""
    return b"".join((method, b" ", target, b" HTTP/1.1\r\nhost: ", host, b"\r\n", *lines, b"\r\n"))

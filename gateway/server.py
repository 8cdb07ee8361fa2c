"""The gateway's side of HTTP: uvicorn's protocol on `httptools`, with bounds on heads and connections.

Refusals of unreadable requests are problem documents, and WebSocket handshakes become tunnels.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Protocol

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.exchange import Exchange
from gateway.tunnel import Tunnel
from libs.common import problems
from libs.common.errors import AppError, Malformed, Unavailable
from libs.common.ids import new_id

MAX_HEAD = 64 * 1024


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How many seconds a client may take for a head, go on with a body after its answer, and idle, also at the end."""

    head: float = 15.0
    linger: float = 15.0
    idle: float = 75.0
    sweep: float = 5.0
    farewell: float = 1.0


class Door(Protocol):
    """Who takes requests and WebSocket handshakes on."""

    max_connections: int
    patience: Patience
    leaving: bool

    def enter(self, exchange: Exchange) -> None:
        """Sends a request on its way."""

    async def open(self, exchange: Exchange, tunnel: Tunnel) -> None:
        """Takes the steps and joins the tunnel with its service."""


class Cycle(RequestResponseCycle):
    """One request and its answer, with a short way for an answer that is there as a whole.

    Made for each request, so it sets only what differs between requests, and an event only where one is waited for.
    """

    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0
    access_log = False
    on_gone: Callable[[], None] | None = None
    _event: asyncio.Event | None = None

    def __init__(self, edge: "EdgeProtocol", method: str, keep_alive: bool) -> None:
        self.scope = {"method": method}  # type: ignore[typeddict-item]
        self.transport = edge.transport
        self.flow = edge.flow
        self.tasks = edge.tasks
        self.default_headers = edge.server_state.default_headers
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = edge.expect_100_continue
        self.on_response = edge.on_response_complete
        self.body = bytearray()

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        """Set while there is something to receive."""
        if self._event is None:
            self._event = asyncio.Event()
            if self.body or not self.more_body or self.disconnected or self.response_complete:
                self._event.set()
        return self._event

    def wake(self) -> None:
        """Lets who waits for the client go on."""
        if self._event is not None:
            self._event.set()

    def reply(self, status: int, lines: list[bytes], body: bytes) -> bool:
        """Writes status, header lines and body at once, unless the client reads too slowly for that.

        The lines are well-formed and tell the body's length.
        """
        if self.disconnected or self.flow.write_paused:
            return self.disconnected
        self.response_started = self.response_complete = True
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], _default.lines(self.default_headers), *lines, end, body)))
        self.wake()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True

    def gone(self) -> None:
        """The client has left; who works for its answer is told."""
        if self.on_gone is not None and not self.response_complete:
            self.on_gone()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs what has to wait; an answer that it leaves incomplete ends with the connection."""
        task = asyncio.get_running_loop().create_task(self._run(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            if not self.response_complete:
                self.transport.close()


class _DefaultLines:
    """The lines of the headers that uvicorn adds; it makes a new list of them each second, for the date."""

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._lines = b""

    def lines(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Those headers as lines."""
        if headers is not self._headers:
            self._headers, self._lines = headers, b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._lines


_default = _DefaultLines()


class EdgeProtocol(HttpToolsProtocol):
    """One client connection. `door` is set on a subclass per gateway."""

    door: ClassVar[Door]
    cycle: Cycle
    _in_head = True
    _head_bytes = 0
    _head_since = 0.0
    _in_message = False
    _linger_since = 0.0
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admits the connection, if there are not too many."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else "unknown"
        self._waiting: deque[Exchange] = deque()
        self._head_since = self.loop.time()
        if len(self.connections) > self.door.max_connections:
            self._refuse(Unavailable("Too many connections.", code="overloaded", retry_after=1))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        super().connection_lost(exc)
        if self.cycle is not None:
            self.cycle.gone()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, as long as the head stays within its bounds."""
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(Malformed("The request could not be read as HTTP."))
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
        if self._in_head and self._head_bytes > MAX_HEAD and not self.transport.is_closing():
            self._refuse(Malformed("The headers are too large.", code="headers-too-large"))

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = self._in_message = True
        self._linger_since = 0.0
        self._head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head = False
        self._head_bytes = 0
        parser = self.parser
        if parser.should_upgrade() and self._should_upgrade():
            return
        method = parser.get_method().decode("ascii")
        keep_alive = parser.should_keep_alive() and parser.get_http_version() != "1.0" and not self.door.leaving
        previous, self.cycle = self.cycle, Cycle(self, method, keep_alive)
        path, query = _path_and_query(self.url)
        exchange = Exchange(
            method, path, query, self.headers, self._peer, self.scheme or "http", self.cycle, self.cycle
        )
        if previous is None or previous.response_complete:
            self.door.enter(exchange)
        else:
            self.flow.pause_reading()
            self._waiting.append(exchange)

    def on_response_complete(self) -> None:
        """The next request of this connection may be served; how long it idles is watched by the sweeper."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._waiting:
            self.door.enter(self._waiting.popleft())
        else:
            self._idle_since = self.loop.time()

    def on_message_complete(self) -> None:
        """The body is there, or what of it was discarded after an early answer."""
        self._in_message = False
        if self.cycle is not None:
            self.cycle.more_body = False
            self.cycle.wake()

    def check(self, now: float) -> None:
        """Closes the connection of a client that does not finish a head, or goes on with a body after its answer."""
        patience = self.door.patience
        lingering = self._in_message and self.cycle is not None and self.cycle.response_complete
        if lingering and not self._linger_since:
            self._linger_since = now
        idle = not self._in_head and not self._answering and self._idle_since < now - patience.idle
        late_head = self._in_head and self._head_since < now - patience.head
        if late_head or (idle and not lingering) or (lingering and self._linger_since < now - patience.linger):
            self.transport.close()

    def leave(self) -> None:
        """With the next answer the connection ends."""
        if self._answering:
            self.cycle.keep_alive = False

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, error: AppError) -> None:
        if self._answering:
            own_body = self._in_message and not self._waiting and not self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.wake()
            if not own_body:
                self.transport.close()
                return
        status, headers, body = problems.render(error, request_id=str(new_id()), instance="/")
        lines = [f"HTTP/1.1 {status} Refused", *(f"{name}: {value}" for name, value in headers)]
        lines += [f"content-length: {len(body)}", "connection: close", "", ""]
        self.transport.write("\r\n".join(lines).encode() + body)
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection over to a tunnel."""
        if self._answering:
            self.transport.close()
            return
        self.connections.discard(self)
        tunnel = Tunnel(self.transport, self.connections)
        path, query = _path_and_query(self.url)
        method = self.parser.get_method().decode("ascii")
        exchange = Exchange(method, path, query, self.headers, self._peer, self.scheme or "http", tunnel)
        self.transport.set_protocol(tunnel)
        task = self.loop.create_task(self.door.open(exchange, tunnel))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def _path_and_query(target: bytes) -> tuple[bytes, bytes]:
    """The parts of a request target (RFC 9112 §3.2), which the parser has found to be well-formed."""
    if target[:1] == b"/" and b"#" not in target:
        path, _, query = target.partition(b"?")
        return path, query
    url = httptools.parse_url(target)
    return url.path or b"/", url.query or b""


def protocol_for(door: Door) -> type[EdgeProtocol]:
    """The protocol class of one gateway."""
    return type("GatewayProtocol", (EdgeProtocol,), {"door": door})


async def sweep_clients(connections: set[Any], seconds: float) -> None:
    """The background loop that ends connections whose head does not arrive (slow-loris) or whose body does not end."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(seconds)
        for connection in list(connections):
            if isinstance(connection, EdgeProtocol):
                connection.check(loop.time())

"""The gateway's side of HTTP: uvicorn's protocol on `httptools`, with bounds on heads and connections.

Refusals of unreadable requests are problem documents, and WebSocket handshakes become tunnels.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar, Protocol
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.exchange import Exchange
from gateway.tunnel import Tunnel
from libs.common import problems
from libs.common.errors import AppError, Malformed, Unavailable
from libs.common.ids import new_id

MAX_HEAD = 64 * 1024
HEAD_SECONDS = 15.0
LINGER_SECONDS = 15.0
IDLE_SECONDS = 75.0
SWEEP_SECONDS = 5.0


class Door(Protocol):
    """Who takes requests and WebSocket handshakes on."""

    max_connections: int

    def enter(self, exchange: Exchange) -> None:
        """Sends a request on its way."""

    async def open(self, tunnel: Tunnel) -> None:
        """Takes the steps and joins the tunnel with its service."""


class Cycle(RequestResponseCycle):
    """One request and its answer, with a short way for an answer that is there as a whole."""

    tasks: set[asyncio.Task[None]]

    def reply(self, status: int, lines: list[bytes], body: bytes) -> bool:
        """Writes status, header lines and body at once, unless the client reads too slowly for that.

        The lines are well-formed and tell the body's length.
        """
        if self.disconnected or self.flow.write_paused:
            return self.disconnected
        self.response_started = self.response_complete = True
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], *self.default_lines(), *lines, end, body)))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True

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

    def default_lines(self) -> list[bytes]:
        """The header lines that the server adds."""
        return [piece for name, value in self.default_headers for piece in (name, b": ", value, b"\r\n")]


class EdgeProtocol(HttpToolsProtocol):
    """One client connection. `door` is set on a subclass per gateway."""

    door: ClassVar[Door]
    _in_head = True
    _head_bytes = 0
    _head_since = 0.0
    _in_message = False
    _linger_since = 0.0
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admits the connection, if there are not too many."""
        super().connection_made(transport)
        self._head_since = self.loop.time()
        if len(self.connections) > self.door.max_connections:
            self._refuse(Unavailable("Too many connections.", code="overloaded", retry_after=1))

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, as long as the head stays within its bounds."""
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD and not self.transport.is_closing():
            self._refuse(Malformed("The headers are too large.", code="headers-too-large"))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._linger_since = 0.0
        self._head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head = False
        self._head_bytes = 0
        scope, version = self.scope, self.parser.get_http_version()
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        if self.parser.should_upgrade() and self._should_upgrade():
            return
        url = httptools.parse_url(self.url)
        scope["raw_path"] = url.path
        scope["path"] = unquote(url.path.decode("ascii"))
        scope["query_string"] = url.query or b""
        self._begin_cycle(keep_alive=version != "1.0" and self.parser.should_keep_alive())

    def _begin_cycle(self, keep_alive: bool) -> None:
        previous = self.cycle
        self.cycle = Cycle(
            scope=self.scope, transport=self.transport, flow=self.flow, logger=self.logger,
            access_logger=self.access_logger, access_log=False, default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(), expect_100_continue=self.expect_100_continue, keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )  # fmt: skip
        self.cycle.tasks = self.tasks
        if previous is None or previous.response_complete:
            self._enter(self.cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _enter(self, cycle: RequestResponseCycle) -> None:
        assert isinstance(cycle, Cycle)
        self.door.enter(Exchange(cycle.scope, cycle.receive, cycle.send, cycle))  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        """The next request of this connection may be served; how long it idles is watched by the sweeper."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._enter(self.pipeline.pop()[0])
        else:
            self._idle_since = self.loop.time()

    def on_message_complete(self) -> None:
        """The body is there, or what of it was discarded after an early answer."""
        self._in_message = False
        super().on_message_complete()

    def check(self, now: float) -> None:
        """Closes the connection of a client that does not finish a head, or goes on with a body after its answer."""
        lingering = self._in_message and self.cycle is not None and self.cycle.response_complete
        if lingering and not self._linger_since:
            self._linger_since = now
        idle = not self._in_head and not self._answering and self._idle_since < now - IDLE_SECONDS
        late_head = self._in_head and self._head_since < now - HEAD_SECONDS
        if late_head or (idle and not lingering) or (lingering and self._linger_since < now - LINGER_SECONDS):
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """The answer to what is not HTTP."""
        self._refuse(Malformed("The request could not be read as HTTP."))

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, error: AppError) -> None:
        if self._answering:
            own_body = self._in_message and not self.pipeline and not self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
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
        url = httptools.parse_url(self.url)
        scope: dict[str, Any] = {
            **self.scope, "type": "websocket", "raw_path": url.path or b"/", "query_string": url.query or b"",
            "path": (url.path or b"/").decode("ascii", "replace"),
        }  # fmt: skip
        tunnel = Tunnel(scope, self.transport, self.connections)
        self.transport.set_protocol(tunnel)
        task = self.loop.create_task(self.door.open(tunnel))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def protocol_for(door: Door) -> type[EdgeProtocol]:
    """The protocol class of one gateway."""
    return type("GatewayProtocol", (EdgeProtocol,), {"door": door})


async def sweep_clients(connections: set[Any]) -> None:
    """The background loop that ends connections whose head does not arrive (slow-loris) or whose body does not end."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        for connection in list(connections):
            if isinstance(connection, EdgeProtocol):
                connection.check(loop.time())

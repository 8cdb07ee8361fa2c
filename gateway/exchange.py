"""One request on its way: what the steps have learned of it so far. Made once per request, so it is kept small."""

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from time import perf_counter
from typing import Any, Protocol
from uuid import UUID

from opentelemetry.trace import Span

from gateway.route_table import Route
from gateway.upstream.pool import Upstream
from libs.common.identity import Principal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


class Client(Protocol):
    """The client's connection, where an answer goes out and where the rest of a way becomes a task."""

    def reply(self, status: int, lines: list[bytes], body: bytes) -> bool:
        """Writes a whole answer at once; false when the client reads too slowly for that."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs what has to wait."""


class Exchange:
    """A request and what is known of it. `lines` go to the service, `answer_headers` to the client."""

    __slots__ = (
        "_client",
        "address",
        "answer_headers",
        "answered",
        "buffered",
        "host",
        "known",
        "lines",
        "method",
        "path",
        "principal",
        "query",
        "receive",
        "received",
        "request_id",
        "route",
        "scheme",
        "scope",
        "send",
        "span",
        "started",
        "status",
        "tenant_id",
        "traceparent",
        "upstream",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, client: Client | None = None) -> None:
        self.started = perf_counter()
        self.scope = scope
        self._client = client
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.known: dict[bytes, bytes] = {}
        self.lines: list[bytes] = []
        self.answer_headers: list[Header] = list(SECURITY_HEADERS)
        self.request_id = ""
        self.traceparent = ""
        self.address = ""
        self.host = ""
        self.scheme = "http"
        self.route: Route | None = None
        self.tenant_id: UUID | None = None
        self.principal: Principal | None = None
        self.upstream: Upstream | None = None
        self.buffered: bytes | None = None
        self.span: Span | None = None
        self.received = 0
        self.answered = False
        self.status = 0

    @property
    def client(self) -> Client:
        """The connection of an HTTP request; a handshake has none of this kind."""
        assert self._client is not None
        return self._client

    @property
    def has_body(self) -> bool:
        """Whether the client sends a body."""
        return self.known.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.known

    async def answer(self, status: int, headers: list[Header], body: bytes) -> None:
        """Answers at the edge."""
        self.answered = True
        self.status = status
        length = (b"content-length", str(len(body)).encode())
        headers = [*headers, *self.answer_headers] if status == 204 else [*headers, length, *self.answer_headers]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

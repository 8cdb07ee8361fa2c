"""One request on its way: what the steps have learned of it so far. Made once per request, so it is kept small."""

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from time import monotonic
from typing import Any, Protocol
from uuid import UUID

from opentelemetry.trace import Span

from gateway.route_table import Route
from gateway.upstream.balance import Service
from gateway.upstream.pool import Upstream
from libs.common.identity import Principal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

SECURITY_LINES = b"x-content-type-options: nosniff\r\nx-frame-options: DENY\r\nreferrer-policy: no-referrer\r\n"


class Channel(Protocol):
    """Messages to and from the client, as ASGI has them."""

    async def receive(self) -> Any:
        """The next message."""

    async def send(self, message: Any) -> None:
        """Sends a message."""


class Client(Protocol):
    """The client's connection, where an answer goes out and where the rest of a way becomes a task."""

    disconnected: bool
    more_body: bool
    waiting_for_100_continue: bool
    on_gone: Callable[[], None] | None

    def reply(self, status: int, lines: list[bytes], body: bytes) -> bool:
        """Writes a whole answer at once; false when the client reads too slowly for that."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs what has to wait."""


class Exchange:
    """A request and what is known of it. `lines` go to the service, `answer_lines` to the client."""

    request_id = ""
    traceparent = ""
    host = ""
    route: Route | None = None
    tenant_id: UUID | None = None
    principal: Principal | None = None
    service: Service | None = None
    upstream: Upstream | None = None
    buffered: bytes | None = None
    span: Span | None = None
    received = 0
    answered = False
    status = 0

    def __init__(
        self,
        method: str,
        path: bytes,
        query: bytes,
        headers: list[Header],
        address: str,
        scheme: str,
        channel: Channel,
        client: Client | None = None,
    ) -> None:
        self.started = monotonic()
        self.method = method
        self.raw_path = self.path = path
        self.query = query
        self.headers = headers
        self.address = address
        self.scheme = scheme
        self.channel = channel
        self._client = client
        self.known: dict[bytes, bytes] = {}
        self.lines: list[bytes] = []
        self.answer_lines = [SECURITY_LINES]

    @property
    def client(self) -> Client:
        """The connection of an HTTP request; a handshake has none of this kind."""
        assert self._client is not None
        return self._client

    @property
    def has_body(self) -> bool:
        """Whether the client sends a body."""
        return self.known.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.known

    def answer_headers(self) -> list[Header]:
        """The `answer_lines` taken apart."""
        lines = b"".join(self.answer_lines).split(b"\r\n")
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines) if name]

    async def answer(self, status: int, headers: list[Header], body: bytes) -> None:
        """Answers at the edge."""
        self.answered = True
        self.status = status
        length = (b"content-length", str(len(body)).encode())
        headers = [*headers, *([] if status == 204 else [length]), *self.answer_headers()]
        await self.channel.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.channel.send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

"""WebSockets (RFC 6455) as a tunnel of bytes: after the service has agreed, nothing is parsed, copied or unmasked.

Sub-protocols, extensions, pings and close codes so pass as they are. Bytes of the client flow only after the service's
101, so that a refused handshake cannot smuggle a second request. A full buffer stops the other side's reading.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from gateway.exchange import Message
from gateway.upstream.connection import MAX_HEAD

_END = b"\r\n\r\n"


class Far(asyncio.Protocol):
    """The connection to the service."""

    def __init__(self, tunnel: "Tunnel") -> None:
        self.tunnel = tunnel
        self.transport: asyncio.Transport | None = None
        self.status = 0
        self._head = bytearray()
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Connected."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """The handshake's answer first; then whatever the service says."""
        if self.status:
            self.tunnel.transport.write(data)
            return
        self._head += data
        end = self._head.find(_END)
        if end >= 0 and self._head.startswith(b"HTTP/1.1 "):
            self.status = int(self._head[9:12]) if self._head[9:12].isdigit() else 502
            self._answer(end)
        elif end >= 0 or len(self._head) > MAX_HEAD:
            self.connection_lost(None)

    def _answer(self, end: int) -> None:
        extra = self.tunnel.answer_lines if self.status == 101 else self.tunnel.answer_lines + b"connection: close\r\n"
        head, rest = bytes(self._head[: end + 2]), bytes(self._head[end + 2 :])
        self.tunnel.begin(head + extra + rest, joined=self.status == 101)
        self._head.clear()
        if not self.answered.done():
            self.answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The service has gone, so the tunnel ends."""
        if not self.answered.done():
            self.answered.set_exception(exc or ConnectionResetError("closed before the handshake was answered"))
            return
        self.tunnel.transport.close()

    def pause_writing(self) -> None:
        """The service reads slowly."""
        self.tunnel.transport.pause_reading()

    def resume_writing(self) -> None:
        """The service reads again."""
        self.tunnel.transport.resume_reading()


class Tunnel(asyncio.Protocol):
    """The connection of the client; it became a tunnel with its handshake."""

    def __init__(self, transport: asyncio.Transport, connections: set[Any]) -> None:
        self.transport = transport
        self.far: Far | None = None
        self.answer_lines = b""
        self.joined = False
        self.lost = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connections = connections
        connections.add(self)

    def begin(self, head: bytes, joined: bool) -> None:
        """Passes the handshake's answer on, and opens the tunnel where the service agreed."""
        self.joined = joined
        self.transport.write(head)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client; before the service has agreed there must be none."""
        if self.joined and self.far is not None and self.far.transport is not None:
            self.far.transport.write(data)
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, so the tunnel ends."""
        self.lost = True
        self._connections.discard(self)
        if self.far is not None and self.far.transport is not None:
            self.far.transport.close()
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        if self.far is not None and self.far.transport is not None:
            self.far.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self.far is not None and self.far.transport is not None:
            self.far.transport.resume_reading()

    def shutdown(self) -> None:
        """The gateway ends: the service and the client see their connection closed."""
        self.transport.close()

    async def receive(self) -> Message:
        """A handshake has no body."""
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Answers the handshake at the edge, in place of the service."""
        if message["type"] == "http.response.start":
            status = HTTPStatus(message["status"])
            lines = b"".join(b"%b: %b\r\n" % header for header in message["headers"])
            self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + lines)
        else:
            self.transport.write(b"connection: close\r\n\r\n" + message["body"])
            self.transport.close()

"""Calls to addresses that people of a tenant give: bounded in time and size, not redirected, and only to public hosts.

What a name resolves to is judged when the connection is made, and the connection goes to the address that was judged,
so that a name which resolves differently a moment later gains nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore
import msgspec

from libs.common.errors import Fault, Invalid, Unavailable
from libs.common.networks import is_public

MAX_ANSWER_BYTES = 1024 * 1024
MAX_URL = 2048
SECONDS = 5.0

_AWAY = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes


class Outward:
    """A client for such calls; `private` allows private addresses and plain HTTP, for tests and development."""

    def __init__(self, *, private: bool = False) -> None:
        self.private = private
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def start(self) -> None:
        """Gets ready; connections are made when they are needed."""
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(), max_connections=50, max_keepalive_connections=10,
            keepalive_expiry=10.0, network_backend=_Guarded(private=self.private),
        )  # fmt: skip

    async def stop(self) -> None:
        """Closes connections."""
        if self._pool is not None:
            await self._pool.aclose()

    def check(self, url: str, pointer: str) -> list[Fault]:
        """Faults of an address, as far as they show without asking the DNS."""
        try:
            parts = urlsplit(url)
            port_is_fine = parts.port is None or parts.port > 0
        except ValueError:
            return [Fault(pointer, "invalid_url", "An address such as 'https://id.example.com' is expected")]
        schemes = ("https", "http") if self.private else ("https",)
        plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL
        if parts.scheme not in schemes or not parts.hostname or parts.username or not plain or not port_is_fine:
            return [Fault(pointer, "invalid_url", "An address such as 'https://id.example.com' is expected")]
        if not self.private and _is_private(parts.hostname):
            return [Fault(pointer, "private_address", "The address is not a public one")]
        return []

    async def fetch(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """The answer of a server out there; `Unavailable` where there is none in time."""
        if faults := self.check(url, "/url"):
            raise Invalid(errors=faults)
        assert self._pool is not None
        try:
            async with asyncio.timeout(SECONDS):
                return await _read(self._pool, method, url, headers or {}, body)
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            OSError,
            UnicodeError,
        ) as error:
            host = urlsplit(url).hostname
            raise Unavailable(f"'{host}' does not answer", code="remote-unavailable", retry_after=5) from error


async def _read(
    pool: httpcore.AsyncConnectionPool, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> Answer:
    async with pool.stream(method, url, headers=list(headers.items()), content=body) as response:
        parts = bytearray()
        async for part in response.aiter_stream():
            parts += part
            if len(parts) > MAX_ANSWER_BYTES:
                raise Unavailable("The answer from outside is too large", code="remote-unavailable", retry_after=60)
        return Answer(response.status, bytes(parts))


class _Guarded(httpcore.AsyncNetworkBackend):
    """Resolves a name, judges every address of it, and connects to one of them."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        """A connection to a host that may be reached."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._private and any(_is_private(address) for address in addresses):
            raise httpcore.ConnectError(f"{host} is not a public address")
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    async def sleep(self, seconds: float) -> None:
        """Between attempts."""
        await asyncio.sleep(seconds)


def _is_private(host: str) -> bool:
    """Whether a literal address is not public; names are judged by what they resolve to."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
    return not is_public(host)

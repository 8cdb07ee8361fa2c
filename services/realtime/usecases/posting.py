"""Sending a message to an address on the Internet, and nowhere else.

The name is resolved once for a connection, every address it has is checked, and the connection goes to one of these
very addresses, with TLS and `Host` for the name. So a name that means something else a moment later changes nothing.
The socket's own address is checked again, which covers addresses that are written out.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import dns.asyncresolver
import dns.exception
import dns.nameserver
from aiohttp.abc import AbstractResolver, ResolveResult
from dns.rdatatype import AAAA, A

from services.realtime.domain.addresses import AddressRefused, is_public

DNS_SECONDS = 5.0
MAX_RESPONSE = 1024
MAX_HEAD = 16 * 1024
_LOCAL = "localhost"
_NOWHERE = "invalid"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a message: a status, or an error's code; and the first bytes that were answered."""

    status: int | None
    error: str | None
    milliseconds: int
    response: str = ""
    retry_after: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it was taken."""
        return self.status is not None and 200 <= self.status < 300


class Guarded(AbstractResolver):
    """Names by DNS, and only those that have no other addresses than public ones; `local` allows all."""

    def __init__(self, servers: str | None, *, local: bool) -> None:
        self._servers = servers
        self._local = local

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name."""
        found = await self.addresses(host)
        self.check(found)
        return [_result(host, port, address) for address in found]

    def check(self, addresses: list[str]) -> None:
        """Raises AddressRefused unless every address may be reached."""
        if not self._local and not all(is_public(address) for address in addresses):
            raise AddressRefused(errno.EACCES, "the address is not a public one")

    async def addresses(self, host: str) -> list[str]:
        """All addresses of a name, but for those that RFC 6761 says of. Raises OSError where there are none."""
        last = host.rpartition(".")[2].lower()
        if last == _LOCAL:
            return ["127.0.0.1"]
        if last == _NOWHERE:
            raise OSError(errno.EHOSTUNREACH, "the name has no address")
        resolver = dns.asyncresolver.Resolver(configure=self._servers is None)
        if self._servers is not None:
            resolver.nameservers = [_server(part.strip()) for part in self._servers.split(",")]
        asked = (resolver.resolve(host, kind, lifetime=DNS_SECONDS, raise_on_no_answer=False) for kind in (A, AAAA))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found = [str(record) for answer in answers if not isinstance(answer, BaseException) for record in answer]
        if not found:
            failure = next((it for it in answers if isinstance(it, BaseException)), None)
            if failure is not None and not isinstance(failure, dns.exception.DNSException):
                raise failure
            raise OSError(errno.EHOSTUNREACH, "the name has no address")
        return found

    async def close(self) -> None:
        """Nothing is held."""


class Poster:
    """The way out of one process."""

    def __init__(self, servers: str | None, *, local: bool, concurrency: int, seconds: float, connect_seconds: float):
        self._resolver = Guarded(servers, local=local)
        self._concurrency = concurrency
        self._timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=connect_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Makes the pool of connections; none is opened yet."""
        connector = aiohttp.TCPConnector(
            resolver=self._resolver, use_dns_cache=False, limit=self._concurrency, keepalive_timeout=15,
            socket_factory=self._socket,
        )  # fmt: skip
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
            trust_env=False, max_line_size=MAX_HEAD, max_field_size=MAX_HEAD, raise_for_status=False,
            skip_auto_headers=("Accept-Encoding",),
        )  # fmt: skip

    async def stop(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()

    async def refuses(self, url: str) -> bool:
        """Whether an address is known to be one that may not be reached; one that is nowhere yet is not."""
        host = urlsplit(url).hostname or ""
        try:
            self._resolver.check([host] if _is_address(host) else await self._resolver.addresses(host))
        except AddressRefused:
            return True
        except OSError:
            return False
        return False

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Sends a message; whatever goes wrong is told and not raised."""
        assert self._session is not None
        began = time.monotonic()

        def failed(error: str) -> Answer:
            return Answer(None, error, int((time.monotonic() - began) * 1000))

        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                text = await response.content.read(MAX_RESPONSE)
                spent = int((time.monotonic() - began) * 1000)
                shown = text.decode("utf-8", "replace").replace("\0", "")
                return Answer(response.status, None, spent, shown, response.headers.get("Retry-After"))
        except TimeoutError:
            return failed("timeout")
        except aiohttp.ClientConnectorError as error:
            return failed("address-refused" if isinstance(error.os_error, AddressRefused) else "connection-failed")
        except (aiohttp.ClientError, AddressRefused) as error:
            return failed("address-refused" if isinstance(error, AddressRefused) else "broken-answer")
        except (OSError, ValueError):
            return failed("connection-failed")

    def _socket(self, found: Any) -> socket.socket:
        family, kind, protocol, _, address = found
        self._resolver.check([address[0]])
        return socket.socket(family, kind, protocol)


def _result(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


def _is_address(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True


def _server(text: str) -> dns.nameserver.Nameserver:
    host, _, port = text.rpartition(":")
    return dns.nameserver.Do53Nameserver(host, int(port))

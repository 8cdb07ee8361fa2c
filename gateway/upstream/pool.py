"""The connections to one instance of a service, and the sweeper that ends whatever waits too long.

A service on the same machine may be reached by a Unix socket (`unix:///run/records.sock`), which costs both sides a
third less of the kernel's time than loopback TCP.
"""

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from gateway.upstream.breaker import Breaker
from gateway.upstream.connection import Connection
from gateway.upstream.errors import ConnectFailed

IDLE_SECONDS = 30.0  # less than the 75 s of the services, so that the gateway closes first
CONNECT_SECONDS = 2.0
SWEEP_SECONDS = 0.5


class Upstream:
    """One instance: its address, its idle connections, the number of requests in flight, and its breaker."""

    def __init__(self, name: str, url: str, loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self.name = name
        self.url = url.rstrip("/")
        self._path = parts.path if parts.scheme == "unix" else None
        self._tls = (tls or True) if parts.scheme == "https" else None
        self._address = (parts.hostname or "127.0.0.1", parts.port or (443 if self._tls else 80))
        self.host = parts.netloc.encode() or b"localhost"
        self.in_flight = 0
        self.waiting = 0
        self.sockets = 0
        self.breaker = Breaker(loop.time)
        self._loop = loop
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    async def connection(self) -> Connection:
        """An idle connection, or a new one."""
        return self.idle_connection() or await self.fresh_connection()

    def idle_connection(self) -> Connection | None:
        """An idle connection, the one used last first."""
        oldest = self._loop.time() - IDLE_SECONDS
        while self._idle and not self.breaker.is_open:
            connection = self._idle.pop()
            if connection.reusable and connection.idle_since > oldest:
                connection.used = True
                self._busy.add(connection)
                return connection
            connection.close()
        return None

    async def fresh_connection(self) -> Connection:
        """A new connection; what comes of it is told to the breaker."""
        decided = False
        try:
            connection = Connection(self._loop)
            async with asyncio.timeout(CONNECT_SECONDS):
                await self.connect(lambda: connection)
            self.breaker.succeeded()
            decided = True
        except OSError as error:  # TimeoutError is one too
            self.breaker.failed()
            decided = True
            raise ConnectFailed(f"{self.name} cannot be reached") from error
        finally:
            if not decided:
                self.breaker.undecided()
        self._busy.add(connection)
        return connection

    async def connect(self, protocol: Callable[[], asyncio.Protocol]) -> asyncio.Transport:
        """Joins a protocol with the service, wherever it listens; an `OSError` when it does not."""
        if self._path is not None:
            return (await self._loop.create_unix_connection(protocol, self._path))[0]
        return (await self._loop.create_connection(protocol, *self._address, ssl=self._tls))[0]

    def release(self, connection: Connection) -> None:
        """Takes a connection back: for the next request when its answer was read to the end, else it is dropped."""
        self._busy.discard(connection)
        if connection.reusable:
            connection.idle_since = self._loop.time()
            connection.deadline = float("inf")
            self._idle.append(connection)
        else:
            connection.abort()

    def sweep(self) -> None:
        """Ends exchanges past their deadline and closes connections that idled too long."""
        now = self._loop.time()
        for connection in [busy for busy in self._busy if busy.deadline < now]:
            connection.expire()
        oldest = now - IDLE_SECONDS
        for connection in self._idle:
            if connection.idle_since <= oldest:
                connection.close()
        self._idle = [idle for idle in self._idle if idle.idle_since > oldest and idle.reusable]

    def close(self) -> None:
        """Closes all connections."""
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()


async def sweep_forever(upstreams: list[Upstream]) -> None:
    """The background loop behind every deadline of the upstream connections."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        for upstream in upstreams:
            upstream.sweep()

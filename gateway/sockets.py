"""The way of a WebSocket: the same steps as any request, then a tunnel to `realtime`."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from gateway.app import Step
from gateway.exchange import Exchange
from gateway.refuse import refuse
from gateway.steps.forward import service_lines, target
from gateway.tunnel import Far, Tunnel
from gateway.upstream.balance import Service, held
from gateway.upstream.connection import request_head
from gateway.upstream.pool import CONNECT_SECONDS, Upstream
from libs.common import logging
from libs.common.errors import AppError, Malformed, Unavailable
from libs.common.metrics import Metrics

HANDSHAKE_SECONDS = 10.0
log = structlog.get_logger()


class SocketWay:
    """Takes handshakes on; their number per instance is bounded, and the one with the fewest gets the next."""

    def __init__(
        self, steps: Sequence[Step], services: Mapping[str, Service], metrics: Metrics, max_sockets: int
    ) -> None:
        self._steps = steps
        self._services = services
        self._metrics = metrics
        self._max = max_sockets

    async def open(self, exchange: Exchange, tunnel: Tunnel) -> None:
        """Lets the handshake take the steps, joins the two sides, and stays until they part."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await self._open(exchange, tunnel)
        except AppError as error:
            await refuse(exchange, error)
        except Exception as error:
            path = logging.shown(exchange.raw_path.decode("ascii", "replace"))
            await log.aerror("handshake failed", path=path, error=repr(error), exc_info=True)
            await refuse(exchange, AppError())
        route = exchange.route.pattern if exchange.route is not None else "own"
        self._metrics.observe("WS", route, exchange.status, loop.time() - started)

    async def _open(self, exchange: Exchange, tunnel: Tunnel) -> None:
        for step in self._steps:
            if (waiting := step(exchange)) is not None:
                await waiting
        logging.begin(request_id=exchange.request_id)
        assert exchange.route is not None
        if not exchange.route.socket or exchange.method != "GET" or exchange.has_body:
            raise Malformed("This resource does not speak WebSocket.", code="not-a-socket")
        service = self._services[exchange.route.service]
        upstream, wait = service.admit(held)
        if wait is not None:
            raise Unavailable(f"{upstream.name} is away.", code="upstream-unavailable", retry_after=wait)
        tunnel.answer_lines = b"".join(exchange.answer_lines)
        tried: set[Upstream] = set()
        while not await self._join(exchange, tunnel, upstream):
            tried.add(upstream)
            if (other := service.choose(held, tried)) is None:
                raise Unavailable(f"{upstream.name} is away.", code="upstream-unavailable", retry_after=1)
            upstream = other

    async def _join(self, exchange: Exchange, tunnel: Tunnel, upstream: Upstream) -> bool:
        """Joins the tunnel with an instance; false when that cannot be reached."""
        if upstream.sockets >= self._max:
            upstream.breaker.undecided()
            raise Unavailable(f"{upstream.name} has too many sockets.", code="overloaded", retry_after=1)
        upstream.sockets += 1
        far = Far(tunnel)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await upstream.connect(lambda: far)
            upstream.breaker.succeeded()
        except OSError:
            upstream.breaker.failed()
            upstream.sockets -= 1
            return False
        except BaseException:
            _left(upstream)
            raise
        tunnel.ended.add_done_callback(lambda _: _left(upstream))
        await self._shake_hands(exchange, tunnel, upstream, far)
        return True

    async def _shake_hands(self, exchange: Exchange, tunnel: Tunnel, upstream: Upstream, far: Far) -> None:
        assert far.transport is not None
        tunnel.far = far
        try:
            far.transport.write(_handshake(exchange, upstream))
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await far.answered
        except OSError as error:
            far.transport.abort()
            raise Unavailable(f"{upstream.name} did not answer.", code="upstream-broken", retry_after=1) from error
        exchange.status = far.status
        if tunnel.lost:
            far.transport.close()


def _handshake(exchange: Exchange, upstream: Upstream) -> bytes:
    lines = service_lines(exchange)
    version = exchange.known.get(b"sec-websocket-version", b"13")
    lines.append(b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: %b\r\n" % version)
    return request_head(b"GET", target(exchange), upstream.host, lines)


def _left(upstream: Upstream) -> None:
    upstream.sockets -= 1
    upstream.breaker.undecided()

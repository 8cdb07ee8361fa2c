"""The ASGI application: a request's way is the list of its steps.

A step returns None when it is done, or an awaitable where it has to wait: most never do, and then cost a call only.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from gateway.body import ClientGone
from gateway.exchange import Exchange, Receive, Scope, Send
from gateway.refuse import refuse
from gateway.steps.shed import leave
from libs.common import logging, tracing
from libs.common.errors import AppError
from libs.common.metrics import Metrics

Step = Callable[[Exchange], Awaitable[None] | None]
Arrival = Callable[[Exchange], None]
Answer = Callable[[Exchange], Awaitable[None]]
SLOW_SECONDS = 5.0
log = structlog.get_logger()


class Way:
    """The steps of a request, in order; the first that answers or refuses ends it."""

    def __init__(
        self,
        arrival: Sequence[Arrival],
        own: Mapping[bytes, Answer],
        steps: Sequence[Step],
        metrics: Metrics,
        exporter: tracing.Exporter | None = None,
    ) -> None:
        self.arrival = arrival
        self.own = own
        self.steps = steps
        self.metrics = metrics
        self.exporter = exporter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        exchange = Exchange(scope, receive, send)
        started = time.perf_counter()
        try:
            await self.walk(exchange)
        except ClientGone:
            exchange.status = 499
        except AppError as error:
            await refuse(exchange, error)
        except Exception as error:
            await log.aerror("request failed", path=scope["path"], error=repr(error), exc_info=True)
            if not exchange.answered:
                await refuse(exchange, AppError())
        finally:
            leave(exchange)
            self._observe(exchange, time.perf_counter() - started)

    async def walk(self, exchange: Exchange) -> None:
        """Takes the steps; what the gateway answers itself leaves after the first few."""
        for arrive in self.arrival:
            arrive(exchange)
        logging.begin(request_id=exchange.request_id)
        own = self.own.get(exchange.path.rstrip(b"/"))
        if own is not None:
            return await own(exchange)
        if self.exporter is not None:
            exchange.span = self.exporter.start(f"{exchange.method} gateway", exchange.traceparent)
            exchange.traceparent = tracing.traceparent() or exchange.traceparent
        for step in self.steps:
            if (waiting := step(exchange)) is not None:
                await waiting
            if exchange.answered:
                return None
        return None

    def _observe(self, exchange: Exchange, seconds: float) -> None:
        route = exchange.route.pattern if exchange.route is not None else "own"
        method = exchange.method if exchange.method in _METHODS else "other"
        if exchange.span is not None:
            exchange.span.end()
        self.metrics.observe(method, route, exchange.status, seconds)
        if exchange.status >= 500 or seconds > SLOW_SECONDS:
            log.warning(
                "request", method=method, path=exchange.path.decode("ascii", "replace"), status=exchange.status,
                seconds=round(seconds, 4), tenant=str(exchange.tenant_id or ""),
                user=str(exchange.principal.id) if exchange.principal else "",
            )  # fmt: skip


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

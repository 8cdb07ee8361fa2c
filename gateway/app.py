"""The way of a request is the list of its steps.

A step returns None when it is done, or an awaitable where it has to wait. Most never wait, and then the whole way to
the service is a plain call from the client's protocol, without a task; a task is made where something has to be waited
for, and where an answer is too long to come in one piece.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from gateway.body import ClientGone, drop_rest
from gateway.exchange import Exchange
from gateway.refuse import refuse
from gateway.steps.forward import Forward
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
        forward: Forward,
        metrics: Metrics,
        exporter: tracing.Exporter | None = None,
    ) -> None:
        self.arrival = arrival
        self.own = own
        self.steps = steps
        self.forward = forward
        self.metrics = metrics
        self.exporter = exporter

    def enter(self, exchange: Exchange) -> None:
        """Takes the steps at once as far as none has to wait; what is left of the way becomes a task."""
        try:
            rest = self._start(exchange)
        except Exception as error:
            rest = self._fail(exchange, error)
        if rest is not None:
            exchange.client.spawn(rest)

    def _start(self, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        for arrive in self.arrival:
            arrive(exchange)
        own = self.own.get(exchange.path.rstrip(b"/"))
        if own is not None:
            return self.go_on(exchange, own(exchange))
        if self.exporter is not None:
            exchange.span = self.exporter.start(f"{exchange.method} gateway", exchange.traceparent)
            exchange.traceparent = tracing.traceparent() or exchange.traceparent
        for place, step in enumerate(self.steps):
            waiting = step(exchange)
            if waiting is not None:
                return self.go_on(exchange, waiting, self.steps[place + 1 :])
        return None if self.forward.begin(exchange, self) else self.go_on(exchange, self.forward(exchange))

    async def go_on(self, exchange: Exchange, waiting: Awaitable[None], rest: Sequence[Step] = ()) -> None:
        """The rest of the way, from a step that has to wait."""
        logging.begin(request_id=exchange.request_id)
        try:
            await waiting
            for step in rest:
                if not exchange.answered and (waits := step(exchange)) is not None:
                    await waits
            if not exchange.answered:
                await self.forward(exchange)
        except Exception as error:
            await self._refuse(exchange, error)
        finally:
            self.end(exchange)

    async def _fail(self, exchange: Exchange, error: Exception) -> None:
        logging.begin(request_id=exchange.request_id)
        try:
            await self._refuse(exchange, error)
        finally:
            self.end(exchange)

    async def _refuse(self, exchange: Exchange, error: Exception) -> None:
        if isinstance(error, ClientGone):
            exchange.status = 499
        elif isinstance(error, AppError) and not exchange.answered:
            if exchange.has_body:
                await drop_rest(exchange)
            await refuse(exchange, error)
        else:
            await log.aerror("request failed", path=_text(exchange.raw_path), error=repr(error), exc_info=error)
            if not exchange.answered:
                await refuse(exchange, AppError())

    def end(self, exchange: Exchange) -> None:
        """Called once, when the request is answered or given up."""
        leave(exchange)
        self._observe(exchange, time.monotonic() - exchange.started)

    def _observe(self, exchange: Exchange, seconds: float) -> None:
        route = exchange.route.pattern if exchange.route is not None else "own"
        method = exchange.method if exchange.method in _METHODS else "other"
        if exchange.span is None:
            self.metrics.observe(method, route, exchange.status, seconds)
        else:
            exchange.span.end()
            self.metrics.observe(method, route, exchange.status, seconds, exchange.traceparent[3:35])
        if exchange.status >= 500 or seconds > SLOW_SECONDS:
            log.warning(
                "request", method=method, path=_text(exchange.path), status=exchange.status,
                seconds=round(seconds, 4), tenant=str(exchange.tenant_id or ""),
                user=str(exchange.principal.id) if exchange.principal else "", request_id=exchange.request_id,
                trace_id=exchange.traceparent[3:35],
            )  # fmt: skip


def _text(path: bytes) -> str:
    return logging.shown(path.decode("ascii", "replace"))


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

"""Step 13: load shedding. Requests in flight to a service are bounded, and a service that is away is not asked."""

from collections.abc import Collection, Mapping

from gateway.exchange import Exchange
from gateway.upstream.balance import Service
from gateway.upstream.pool import Upstream
from libs.common.errors import Unavailable


class Shed:
    """Admits a request to its service. What it admits must be given back by `leave`."""

    def __init__(self, services: Mapping[str, Service], max_in_flight: int, max_waiting: int) -> None:
        self._services = services
        self._max = max_in_flight
        self._max_waiting = max_waiting

    def __call__(self, exchange: Exchange) -> None:
        """Notes the instance that is to answer, or refuses at once."""
        assert exchange.route is not None
        service = self._services[exchange.route.service]
        upstream, wait = service.admit()
        if wait is not None:
            raise Unavailable(f"{upstream.name} is away.", code="upstream-unavailable", retry_after=wait)
        if upstream.waiting >= self._max_waiting if exchange.route.waits else upstream.in_flight >= self._max:
            upstream.breaker.undecided()
            raise Unavailable(f"{upstream.name} has too much to do.", code="overloaded", retry_after=1)
        exchange.service = service
        _enter(exchange, upstream)


def _enter(exchange: Exchange, upstream: Upstream) -> None:
    if exchange.route is not None and exchange.route.waits:
        upstream.waiting += 1
    else:
        upstream.in_flight += 1
    exchange.upstream = upstream


def move(exchange: Exchange, tried: Collection[Upstream]) -> Upstream | None:
    """Hands a request over to another instance than those tried; null where there is none."""
    other = exchange.service.choose(tried=tried) if exchange.service is not None else None
    if other is not None:
        leave(exchange)
        _enter(exchange, other)
    return other


def leave(exchange: Exchange) -> None:
    """Gives back what `Shed` admitted."""
    if exchange.upstream is not None:
        if exchange.route is not None and exchange.route.waits:
            exchange.upstream.waiting -= 1
        else:
            exchange.upstream.in_flight -= 1
        exchange.upstream.breaker.undecided()
        exchange.upstream = None

"""Step 12: load shedding. Requests in flight to a service are bounded, and a service that is away is not asked."""

from collections.abc import Mapping

from gateway.exchange import Exchange
from gateway.upstream.pool import Upstream
from libs.common.errors import Unavailable


class Shed:
    """Admits a request to its service. What it admits must be given back by `leave`."""

    def __init__(self, upstreams: Mapping[str, Upstream], max_in_flight: int, max_waiting: int) -> None:
        self._upstreams = upstreams
        self._max = max_in_flight
        self._max_waiting = max_waiting

    def __call__(self, exchange: Exchange) -> None:
        """Notes the service, or refuses at once."""
        assert exchange.route is not None
        upstream = self._upstreams[exchange.route.service]
        waits = exchange.route.waits
        if upstream.waiting >= self._max_waiting if waits else upstream.in_flight >= self._max:
            raise Unavailable(f"{upstream.name} has too much to do.", code="overloaded", retry_after=1)
        if (wait := upstream.breaker.refusal()) is not None:
            raise Unavailable(f"{upstream.name} is away.", code="upstream-unavailable", retry_after=wait)
        if waits:
            upstream.waiting += 1
        else:
            upstream.in_flight += 1
        exchange.upstream = upstream


def leave(exchange: Exchange) -> None:
    """Gives back what `Shed` admitted."""
    if exchange.upstream is not None:
        if exchange.route is not None and exchange.route.waits:
            exchange.upstream.waiting -= 1
        else:
            exchange.upstream.in_flight -= 1
        exchange.upstream.breaker.undecided()
        exchange.upstream = None

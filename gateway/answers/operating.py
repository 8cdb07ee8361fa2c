"""The gateway's own health and metrics."""

from collections.abc import Mapping

import msgspec

from gateway.exchange import Exchange
from libs.common import health
from libs.common.errors import MethodNotAllowed
from libs.common.metrics import Metrics

JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


def only_get(exchange: Exchange) -> None:
    """The gateway's own resources are read only."""
    if exchange.method not in ("GET", "HEAD"):
        raise MethodNotAllowed


class Operating:
    """Answers about the gateway itself. Without keys no token can be verified; broker and cache may be away."""

    def __init__(
        self, version: str, metrics: Metrics, required: Mapping[str, health.Check], others: Mapping[str, health.Check]
    ) -> None:
        self._version = version
        self._metrics = metrics
        self._required = required
        self._others = others

    async def report(self) -> health.Health:
        """The state of the gateway."""
        return await health.report("gateway", self._version, self._required, self._others)

    async def ready(self, exchange: Exchange) -> None:
        """`/health` and `/health/ready`."""
        only_get(exchange)
        found = await self.report()
        await exchange.answer(503 if found.status == "failed" else 200, JSON, msgspec.json.encode(found))

    async def live(self, exchange: Exchange) -> None:
        """`/health/live`: the process answers."""
        only_get(exchange)
        found = await health.report("gateway", self._version, {}, {})
        await exchange.answer(200, JSON, msgspec.json.encode(found))

    async def metrics(self, exchange: Exchange) -> None:
        """`/metrics` for Prometheus."""
        only_get(exchange)
        accept = next((value for name, value in exchange.headers if name == b"accept"), b"")
        text, content_type = self._metrics.render(accept.decode("latin-1"))
        await exchange.answer(200, [(b"content-type", content_type.encode())], text)

"""Prometheus metrics that every process has: rate, errors and duration of requests by route."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The registry of one process, and its request metrics. `route` is a template, never a path, so series stay few."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, service: str, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "http_requests_total", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self._duration = Histogram(
            "http_request_duration_seconds", "Time to the end of the answer", ("method", "route"),
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.in_flight = Gauge("http_requests_in_flight", "Requests being answered", registry=self.registry)
        info = Gauge("millrace_build_info", "Constant 1", ("service", "version"), registry=self.registry)
        info.labels(service, version).set(1)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        key = (method, route, status)
        children = self._children.get(key)
        if children is None:
            children = (self._requests.labels(method, route, str(status)), self._duration.labels(method, route))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)

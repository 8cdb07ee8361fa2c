"""Prometheus metrics that every process has: rate, errors and duration of requests by route."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The registry of one process, and its request metrics. `route` is a template, never a path, so series stay few."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, service: str, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        requests = Requests()
        self.registry.register(requests)
        self.observe = requests.observe
        self.in_flight = Gauge("http_requests_in_flight", "Requests being answered", registry=self.registry)
        info = Gauge("millrace_build_info", "Constant 1", ("service", "version"), registry=self.registry)
        info.labels(service, version).set(1)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)


class Durations:
    """The durations of one series: how many fell into each bucket, and their sum in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, other: "Durations") -> None:
        """Adds those of another series."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Requests(Collector):
    """Counts requests in plain lists, from the one thread that answers them: cheaper than label objects by far."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, int], Durations] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        key = (method, route, status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Durations()
        series.counts[bisect_left(BUCKETS, seconds)] += 1
        series.total += seconds

    def describe(self) -> list[Metric]:
        """The names, for the registry."""
        return list(self.collect())

    def collect(self) -> Iterator[Metric]:
        """The families, for a scrape."""
        answered = CounterMetricFamily("http_requests", "Requests answered", labels=("method", "route", "status"))
        by_route: dict[tuple[str, str], Durations] = {}
        for (method, route, status), series in list(self._series.items()):
            answered.add_metric((method, route, str(status)), sum(series.counts))
            by_route.setdefault((method, route), Durations()).add(series)
        yield answered
        took = HistogramMetricFamily(
            "http_request_duration_seconds", "Time to the end of the answer", labels=("method", "route")
        )
        for labels, series in by_route.items():
            bounds = zip((*map(str, BUCKETS), "+Inf"), accumulate(series.counts), strict=True)
            took.add_metric(labels, [(bound, float(count)) for bound, count in bounds], series.total)
        yield took

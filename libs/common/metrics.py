"""Prometheus metrics that every process has: rate, errors and duration of requests by route."""

import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The registry of one process, and its request metrics. `route` is a template, never a path, so series stay few."""

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

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The text format that is accepted, and its media type: OpenMetrics has exemplars, that of Prometheus none."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class Durations:
    """The durations of one series: how many fell into each bucket, and their sum in seconds.

    `traced` is the newest request of each bucket whose trace is kept somewhere.
    """

    __slots__ = ("counts", "total", "traced")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0
        self.traced: dict[int, Exemplar] = {}

    def add(self, other: "Durations") -> None:
        """Adds those of another series."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
        self.traced |= other.traced


class Requests(Collector):
    """Counts requests in plain lists, from the one thread that answers them: cheaper than label objects by far."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, int], Durations] = {}

    def observe(self, method: str, route: str, status: int, seconds: float, trace_id: str = "") -> None:
        """Counts one answered request; `trace_id` is that of an exported trace."""
        key = (method, route, status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Durations()
        bucket = bisect_left(BUCKETS, seconds)
        series.counts[bucket] += 1
        series.total += seconds
        if trace_id:
            series.traced[bucket] = Exemplar({"trace_id": trace_id}, seconds, time.time())

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
            buckets: list[Any] = [(bound, float(count)) for bound, count in bounds]
            for place, exemplar in series.traced.items():
                buckets[place] = (*buckets[place], exemplar)
            took.add_metric(labels, buckets, series.total)
        yield took

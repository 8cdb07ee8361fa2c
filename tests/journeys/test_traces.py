"""Spans leave by OTLP when an endpoint is configured, and one request is one trace through all that it sets off."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.journeys.crm import text, told
from tests.support import platform
from tests.support.platform import Platform
from tests.support.postgres import Database
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey

TRACE, CLIENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """A collector that speaks OTLP over HTTP with protobuf, on loopback, and remembers spans by service and name."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self._lock = Lock()
        self._spans: list[tuple[str, Span]] = []

    @property
    def url(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, exported: ExportTraceServiceRequest) -> None:
        """Remembers what a process sent."""
        with self._lock:
            for resource in exported.resource_spans:
                names = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    self._spans += [(names["service.name"], span) for span in scope.spans]

    def of(self, trace_id: str) -> dict[tuple[str, str], Span]:
        """The spans of a trace so far, by service and name."""
        with self._lock:
            return {(name, span.name): span for name, span in self._spans if span.trace_id.hex() == trace_id}


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        assert self.headers["content-type"] == "application/x-protobuf"
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.take(ExportTraceServiceRequest.FromString(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that runs."""
    with Collector() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def traced(database: Database, collector: Collector, tmp_path: Path) -> Iterator[Platform]:
    """A platform that sends its spans to the collector."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with platform.platform(database, tmp_path, **settings) as running:
        yield running


async def test_one_request_is_one_trace(traced: Platform, collector: Collector) -> None:
    """The client's trace goes on in the gateway, the service and the event's consumer, each below the one before."""
    async with platform.signed_up(traced.url) as tenant:
        body = {"name": "Traced", "schema_definition": {"fields": [text("name")]}}
        headers = {"traceparent": f"00-{TRACE}-{CLIENT}-01"}
        told(await tenant.client.post("/pipelines", json=body, headers=headers), 201)
    gateway = ("gateway", "POST gateway")
    service = ("pipelines", "POST /api/v1/pipelines")
    consumer = ("records", "consume records-pipelines")

    async def arrived() -> bool:
        return {gateway, service, consumer} <= collector.of(TRACE).keys()

    await eventually(arrived)
    spans = collector.of(TRACE)
    assert spans[gateway].parent_span_id.hex() == CLIENT
    assert spans[service].parent_span_id == spans[gateway].span_id
    assert spans[consumer].parent_span_id == spans[service].span_id
    assert spans[gateway].kind == spans[service].kind == Span.SPAN_KIND_SERVER
    assert spans[consumer].kind == Span.SPAN_KIND_CONSUMER
    assert spans[gateway].start_time_unix_nano <= spans[service].start_time_unix_nano

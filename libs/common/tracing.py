"""W3C trace context through HTTP and NATS headers; spans are exported only when an OTLP endpoint is configured."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, Tracer

_PATTERN = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def traceparent() -> str | None:
    """The trace context of the running task, as the header says it."""
    return _current.get()


def trace_id() -> str:
    """The id of the running task's trace, as logs and exemplars tell it; empty where there is none."""
    return (_current.get() or "")[3:35]


def enter(header: str | None) -> str:
    """Continues the caller's trace, or begins one where the header is absent or not sane; returns the context."""
    context = (
        header if header and _PATTERN.fullmatch(header) else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    )
    _current.set(context)
    return context


class Exporter:
    """Exports one span per request or message. Made only when an endpoint is configured."""

    def __init__(self, service: str, version: str, endpoint: str) -> None:
        resource = Resource.create({"service.name": service, "service.version": version})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
        self._tracer: Tracer = self._provider.get_tracer("millrace")

    def start(self, name: str, parent: str, kind: SpanKind = SpanKind.SERVER) -> trace.Span:
        """Starts a span below the given context and makes it the running task's context."""
        match = _PATTERN.fullmatch(parent)
        assert match is not None
        remote = SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(1))
        context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        span = self._tracer.start_span(name, context=context, kind=kind)
        own = span.get_span_context()
        _current.set(f"00-{own.trace_id:032x}-{own.span_id:016x}-01")
        return span

    def stop(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


@contextmanager
def span(exporter: Exporter | None, name: str, header: str | None, kind: SpanKind) -> Iterator[None]:
    """What is done for a message, in the context that its header names; told where spans are exported."""
    parent = enter(header)
    if exporter is None:
        yield
        return
    started = exporter.start(name, parent, kind)
    try:
        yield
    finally:
        started.end()

"""The outermost layer of every process: request id, trace and log context, metrics, and a last resort for errors."""

import re
import time
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from libs.common import logging, problems, tracing
from libs.common.errors import AppError, Malformed
from libs.common.ids import new_id
from libs.common.metrics import Metrics

REQUEST_ID = "millrace.request_id"
_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
log = structlog.get_logger()


class Edge:
    """An ASGI layer around a whole application."""

    def __init__(self, app: ASGIApp, metrics: Metrics, exporter: tracing.Exporter | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._exporter = exporter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, with its context set."""
        if scope["type"] == "lifespan":  # type: ignore[comparison-overlap]
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id"))
        scope[REQUEST_ID] = request_id  # type: ignore[literal-required]
        logging.begin(request_id=request_id)
        parent = tracing.enter(headers.get(b"traceparent", b"").decode("latin-1"))
        span = self._exporter.start(f"{scope['type']} request", parent) if self._exporter else None
        try:
            if scope["type"] == "http":  # type: ignore[comparison-overlap]
                await self._http(scope, receive, send, request_id, tracing.trace_id() if span else "")
            else:
                await self._app(scope, receive, send)
        finally:
            if span:
                span.update_name(f"{scope.get('method', scope['type'])} {_route(scope)}")
                span.end()

    async def _http(self, scope: Any, receive: Receive, send: Send, request_id: str, trace_id: str) -> None:
        status, method = 0, scope["method"]
        header = (b"x-request-id", request_id.encode())
        inner: Any = {**scope, "method": "GET"} if method == "HEAD" else scope

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header]
                await send(message)
                if method == "HEAD":  # All that is told; what GET would go on with is given up.
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif method != "HEAD":
                await send(message)

        started = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"]:
                await respond(Malformed("The address may not contain the NUL character"), scope, answer)
            else:
                await self._app(inner, receive, answer)
        except Exception as error:
            await log.aerror("request failed", path=logging.shown(scope["path"]), error=repr(error), exc_info=True)
            if status == 0:
                await respond(AppError(), scope, answer)
        finally:
            self._metrics.in_flight.dec()
            scope["path_template"] = inner.get("path_template")
            self._metrics.observe(method, _route(scope), status or 499, time.perf_counter() - started, trace_id)


async def respond(error: AppError, scope: Any, send: Send) -> None:
    """Sends the problem document of an error as the whole response."""
    status, headers, body = problems.render(error, request_id=scope.get(REQUEST_ID, ""), instance=scope["path"])
    raw = [(name.encode(), value.encode()) for name, value in headers]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _route(scope: Any) -> str:
    return scope.get("path_template") or "unmatched"


def _request_id(given: bytes | None) -> str:
    if given and _SANE.fullmatch(given):
        return given.decode()
    return str(new_id())

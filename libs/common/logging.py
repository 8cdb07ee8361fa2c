"""Logs: one JSON object a line on standard output, with service, and request, trace, tenant and user where known.

What errors of libraries quote is not ours to choose: a mail server names who it refuses, PostgreSQL the row. So
secrets, addresses of people and values that were stored are taken out of every line.
"""

import logging
import re
import sys
import threading
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer

from libs.common import tracing

_SECRET = re.compile(
    r"(?P<kept>://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|eyJ[\w-]{8,2000}\.eyJ[\w-]{8,}[\w.-]*"
    r"|\b(?:mlr|whsec)_[\w+/=-]{8,}"
    r"|[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}"
    r"|(?s:(?P<said>\nDETAIL: |invalid input (?:syntax for type [\w ]+: |for query argument \$\d+: )).*)"
)
_PLAIN_SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|.{0,19}", re.ASCII)
_context: ContextVar[dict[str, str] | None] = ContextVar("log context", default=None)


def shown(path: str) -> str:
    """What of a request's path may be logged: a long segment that is no id may open what is behind a link."""
    return "/".join(part if _PLAIN_SEGMENT.fullmatch(part) else "…" for part in path.split("/"))


def begin(**values: str) -> None:
    """Begins the context of one request or message: its values stand on every line logged in its course."""
    _context.set(values)


def bind(**values: str) -> None:
    """Adds to the context that was begun, also from a task started in its course."""
    if (context := _context.get()) is not None:
        context.update(values)


def configure(service: str, level: str) -> None:
    """Sets structlog up, and sends what libraries log through the standard module the same way."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Without the values of local variables, which may be passwords and tokens.
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        _Service(service),
    ]
    structlog.configure(
        processors=[*shared, _render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_meta, _render])
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def catch_all() -> None:
    """What ends the process or one of its threads, what is lost in a finalizer, and warnings become lines as well."""
    sys.excepthook = _uncaught
    threading.excepthook = lambda it: _uncaught(it.exc_type, it.exc_value, it.exc_traceback)
    sys.unraisablehook = lambda it: _uncaught(it.exc_type, it.exc_value, it.exc_traceback)
    logging.captureWarnings(True)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("uncaught", error=repr(error), exc_info=(kind, error, trace))


class _Service:
    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        trace_id = tracing.trace_id()
        traced = {"trace_id": trace_id} if trace_id else {}
        return {"service": self._service, **(_context.get() or {}), **traced, **event}


def _masked(value: Any) -> Any:
    match value:
        case str():
            return _SECRET.sub(_kept, value)
        case dict():
            return {name: _masked(part) for name, part in value.items()}
        case list() | tuple():
            return [_masked(part) for part in value]
    return value


def _kept(found: re.Match[str]) -> str:
    return f"{found['kept'] or found['said'] or ''}…"


# Anything else is told by its text, which may quote as well.
_encode = msgspec.json.Encoder(enc_hook=lambda it: _masked(str(it))).encode


def _drop_meta(_: Any, __: str, event: Any) -> Any:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event


def _render(_: Any, __: str, event: Any) -> str:
    return _encode(_masked(event)).decode()

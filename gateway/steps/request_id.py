"""Step 2: the request id (the client's, if sane) and the trace context (W3C) that the request goes under."""

import re

from gateway.exchange import Exchange
from libs.common import tracing
from libs.common.ids import new_id

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


async def name_request(exchange: Exchange) -> None:
    """Gives the request its id and its trace context."""
    given = exchange.known.get(b"x-request-id")
    sane = given is not None and _SANE.fullmatch(given)
    exchange.request_id = given.decode() if given and sane else str(new_id())
    exchange.answer_headers.append((b"x-request-id", exchange.request_id.encode()))
    parent = exchange.known.get(b"traceparent")
    exchange.traceparent = tracing.enter(parent.decode("latin-1") if parent else None)

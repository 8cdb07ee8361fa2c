"""Step 2: the request id (the client's, if sane) and the trace context (W3C) that the request goes under."""

import re
from random import getrandbits

import uuid_utils

from gateway.exchange import Exchange

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_TRACE = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def name_request(exchange: Exchange) -> None:
    """Gives the request its id and its trace context."""
    given = exchange.known.get(b"x-request-id")
    if given is not None and _SANE.fullmatch(given):
        exchange.request_id = given.decode()
    else:
        exchange.request_id = str(uuid_utils.uuid7())
    exchange.answer_lines.append(b"x-request-id: %b\r\n" % exchange.request_id.encode())
    parent = exchange.known.get(b"traceparent")
    if parent is not None and _TRACE.fullmatch(parent):
        exchange.traceparent = parent.decode()
    else:
        dice = getrandbits(192).to_bytes(24, "big").hex()
        exchange.traceparent = f"00-{dice[:32]}-{dice[32:]}-00"

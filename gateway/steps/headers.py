"""Step 1: read the headers once. What is the gateway's business is noted, the rest is passed on as it came.

Guards against request smuggling (RFC 9112 §11.2) beyond what the parser refuses: a request is framed in one way, and
headers that decide something come once. Hop-by-hop headers (RFC 9110 §7.6.1) and internal ones end here.
"""

from typing import Final

from gateway.exchange import Exchange
from libs.common.errors import Malformed

_ONCE: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"authorization", b"x-tenant"))
_NOTED_AND_PASSED: Final = frozenset((b"authorization", b"origin", b"access-control-request-method"))
_NOTED: Final = frozenset((
    b"host", b"content-length", b"transfer-encoding", b"connection", b"x-tenant", b"x-request-id", b"traceparent",
    b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"upgrade", b"sec-websocket-version",
))  # fmt: skip
_DROPPED: Final = frozenset((
    b"keep-alive", b"te", b"trailer", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate", b"expect",
    b"forwarded", b"x-real-ip", b"x-http-method-override", b"x-original-url", b"x-rewrite-url", b"http2-settings",
))  # fmt: skip
_SPECIAL: Final = _NOTED | _NOTED_AND_PASSED | _DROPPED
_INTERNAL: Final = (b"x-millrace-", b"x-forwarded-")
_PLAIN_CONNECTION: Final = frozenset((b"keep-alive", b"close", b"upgrade", b"keep-alive, upgrade"))


async def read_headers(exchange: Exchange) -> None:
    """Sorts the headers of a request."""
    known, lines = exchange.known, exchange.lines
    for name, value in exchange.scope["headers"]:
        if name not in _SPECIAL:
            if not name.startswith(_INTERNAL):
                lines.append(b"%b: %b\r\n" % (name, value))
        elif name not in _DROPPED:
            _note(known, name, value)
            if name in _NOTED_AND_PASSED:
                lines.append(b"%b: %b\r\n" % (name, value))
    _check_framing(known)
    connection = known.get(b"connection")
    if connection is not None and connection.lower() not in _PLAIN_CONNECTION:
        _drop_named(exchange, connection)


def _note(known: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    if name in known:
        if name in _ONCE:
            raise Malformed(f"The header {name.decode()} may come once only.", code="ambiguous-request")
        value = known[name] + b", " + value
    known[name] = value


def _check_framing(known: dict[bytes, bytes]) -> None:
    length, coding = known.get(b"content-length"), known.get(b"transfer-encoding")
    if length is not None and not (length.isdigit() and len(length) < 16):
        raise Malformed("The content length is not a number.", code="ambiguous-request")
    if coding is not None and (length is not None or coding.lower() != b"chunked"):
        raise Malformed("The body is framed in more than one way, or in an unknown one.", code="ambiguous-request")


def _drop_named(exchange: Exchange, connection: bytes) -> None:
    names = tuple(token.strip().lower() + b":" for token in connection.split(b",") if token.strip())
    if names:
        exchange.lines = [line for line in exchange.lines if not line.startswith(names)]

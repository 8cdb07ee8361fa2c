"""Step 1: read the headers once. What is the gateway's business is noted, the rest is passed on as it came.

Guards against request smuggling (RFC 9112 §11.2) beyond what the parser refuses: a request is framed in one way, and
headers that decide something come once. Hop-by-hop headers (RFC 9110 §7.6.1) and internal ones end here.
"""

from typing import Final

from gateway.exchange import Exchange
from libs.common.errors import Malformed

_NOTED, _PASSED, _DROPPED = 1, 2, 3
_ONCE: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"authorization", b"x-tenant"))
_SPECIAL: Final = {
    **dict.fromkeys((
        b"host", b"content-length", b"transfer-encoding", b"connection", b"x-tenant", b"x-request-id", b"traceparent",
        b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"upgrade", b"sec-websocket-version",
    ), _NOTED),
    **dict.fromkeys((b"authorization", b"origin", b"access-control-request-method", b"idempotency-key"), _PASSED),
    **dict.fromkeys((
        b"keep-alive", b"te", b"trailer", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate",
        b"expect", b"forwarded", b"x-real-ip", b"x-http-method-override", b"x-original-url", b"x-rewrite-url",
        b"http2-settings",
    ), _DROPPED),
}  # fmt: skip
_INTERNAL: Final = (b"x-millrace-", b"x-forwarded-")
_PLAIN_CONNECTION: Final = frozenset((b"keep-alive", b"close", b"upgrade", b"keep-alive, upgrade"))


def read_headers(exchange: Exchange) -> None:
    """Sorts the headers of a request; `lines` gets those that are passed on, as they stand on the wire."""
    known, lines = exchange.known, exchange.lines
    for name, value in exchange.headers:
        kind = _SPECIAL.get(name)
        if kind is None:
            if not name.startswith(_INTERNAL):
                lines += (name, b": ", value, b"\r\n")
        elif kind is not _DROPPED:
            known[name] = value if name not in known else _again(name, known[name], value)
            if kind is _PASSED:
                lines += (name, b": ", value, b"\r\n")
    if b"content-length" in known or b"transfer-encoding" in known:
        _check_framing(known)
    connection = known.get(b"connection")
    if connection is not None and connection.lower() not in _PLAIN_CONNECTION:
        exchange.lines = _without_named(lines, connection)


def _again(name: bytes, first: bytes, second: bytes) -> bytes:
    if name in _ONCE:
        raise Malformed(f"The header {name.decode()} may come once only.", code="ambiguous-request")
    return first + b", " + second


def _check_framing(known: dict[bytes, bytes]) -> None:
    length, coding = known.get(b"content-length"), known.get(b"transfer-encoding")
    if length is not None and not (length.isdigit() and len(length) < 16):
        raise Malformed("The content length is not a number.", code="ambiguous-request")
    if coding is not None and (length is not None or coding.lower() != b"chunked"):
        raise Malformed("The body is framed in more than one way, or in an unknown one.", code="ambiguous-request")


def _without_named(lines: list[bytes], connection: bytes) -> list[bytes]:
    """The lines but for headers that `Connection` names as meant for this hop only."""
    named = {token.strip().lower() for token in connection.split(b",")}
    return [
        piece
        for start in range(0, len(lines), 4)
        if lines[start] not in named
        for piece in lines[start : start + 4]
    ]  # fmt: skip

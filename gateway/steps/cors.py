"""Step 5: cross-origin requests (Fetch standard): answered for the origins that the settings name, none by default."""

from collections.abc import Awaitable, Iterable

from gateway.exchange import Exchange

_EXPOSED = (
    b"access-control-expose-headers: etag, change-seq, location, retry-after, ratelimit, ratelimit-policy, "
    b"x-request-id, content-disposition, idempotency-replayed\r\n"
)
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers",
     b"authorization, cache-control, content-type, if-match, if-none-match, idempotency-key, last-event-id, "
     b"min-change-seq, x-lock-token, x-request-id, x-tenant, traceparent"),
    (b"access-control-max-age", b"600"),
]  # fmt: skip


class Cors:
    """Allows the named origins; `*` allows all, which is safe as answers to cookies are not shared."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any = b"*" in self._origins

    def __call__(self, exchange: Exchange) -> Awaitable[None] | None:
        """Marks the answer, and answers preflights."""
        origin = exchange.known.get(b"origin")
        exchange.answer_lines.append(b"vary: Origin\r\n")
        if origin is None or not (self._any or origin in self._origins):
            return None
        exchange.answer_lines.append(b"access-control-allow-origin: %b\r\n" % origin)
        exchange.answer_lines.append(_EXPOSED)
        if exchange.method == "OPTIONS" and b"access-control-request-method" in exchange.known:
            return exchange.answer(204, _PREFLIGHT, b"")
        return None

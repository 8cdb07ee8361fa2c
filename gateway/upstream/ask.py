"""A small question of the gateway itself to a service: GET, or POST of a JSON body, the whole answer in memory."""

import asyncio

from gateway.upstream.connection import request_head
from gateway.upstream.errors import UpstreamError
from gateway.upstream.pool import Upstream
from libs.common.errors import Unavailable

ANSWER_SECONDS = 3.0
MAX_ANSWER = 8 * 1024 * 1024


async def ask(
    upstream: Upstream, target: str, seconds: float = ANSWER_SECONDS, *, body: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body of the answer; a service that cannot be reached is `Unavailable`."""
    if (wait := upstream.breaker.refusal()) is not None:
        raise Unavailable(f"{upstream.name} is away.", code="upstream-unavailable", retry_after=wait)
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(upstream, target, body)
    except (UpstreamError, TimeoutError) as error:
        raise Unavailable(f"{upstream.name} did not answer.", code="upstream-unavailable", retry_after=1) from error


async def _exchange(upstream: Upstream, target: str, given: bytes | None) -> tuple[int, bytes]:
    connection = await upstream.fresh_connection()
    try:
        lines = [b"accept: application/json\r\n", b"connection: close\r\n"]
        if given is not None:
            lines.append(b"content-type: application/json\r\ncontent-length: %d\r\n" % len(given))
        head = request_head(b"GET" if given is None else b"POST", target.encode(), upstream.host, lines)
        connection.begin(head + (given or b""), is_head=False, deadline=float("inf"))
        await connection.head()
        body = bytearray()
        while data := await connection.chunk():
            body += data
            if len(body) > MAX_ANSWER:
                raise Unavailable(f"{upstream.name} answered too much.", code="upstream-unavailable", retry_after=1)
        return connection.status, bytes(body)
    finally:
        connection.keep_alive = False
        upstream.release(connection)

"""A small question of the gateway itself to a service: GET, or POST of a JSON body, the whole answer in memory."""

import asyncio

from gateway.upstream.balance import Service
from gateway.upstream.connection import request_head
from gateway.upstream.errors import ConnectFailed, UpstreamError
from gateway.upstream.pool import Upstream
from libs.common.errors import Unavailable

ANSWER_SECONDS = 3.0
MAX_ANSWER = 8 * 1024 * 1024


async def ask(
    service: Service, target: str, seconds: float = ANSWER_SECONDS, *, body: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body of the answer; a service that cannot be reached is `Unavailable`.

    Another instance is asked where one could not be reached, and to a GET also where it broke off.
    """
    upstream, wait = service.admit()
    if wait is not None:
        raise Unavailable(f"{service.name} is away.", code="upstream-unavailable", retry_after=wait)
    tried = {upstream}
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return await _exchange(upstream, target, body)
                except UpstreamError as error:
                    other = service.choose(tried=tried) if body is None or isinstance(error, ConnectFailed) else None
                    if other is None:
                        raise
                    tried.add(upstream := other)
    except (UpstreamError, TimeoutError) as error:
        raise Unavailable(f"{service.name} did not answer.", code="upstream-unavailable", retry_after=1) from error


async def ask_instance(upstream: Upstream, target: str, seconds: float = ANSWER_SECONDS) -> tuple[int, bytes]:
    """The answer of one instance."""
    return await ask(Service(upstream.name, [upstream]), target, seconds)


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

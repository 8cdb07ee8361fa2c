"""Requests that two parsers might read differently, and clients that never finish."""

import asyncio

import pytest

from tests.gateway.support import raw

HEAD = "POST /api/v1/auth/login HTTP/1.1\r\nhost: localhost\r\n"
AMBIGUOUS = {
    "length and chunks": HEAD + "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + "content-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
    "two equal lengths": HEAD + "content-length: 4\r\ncontent-length: 4\r\n\r\nabcd",
    "a list of lengths": HEAD + "content-length: 4, 4\r\n\r\nabcd",
    "a signed length": HEAD + "content-length: +4\r\n\r\nabcd",
    "a hexadecimal length": HEAD + "content-length: 0x4\r\n\r\nabcd",
    "an unknown coding": HEAD + "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": HEAD + "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": HEAD + "content-length : 4\r\n\r\nabcd",
    "a folded header": HEAD + "x-a: b\r\n c: d\r\n\r\n",
    "a bare line feed": HEAD + "x-a: b\ncontent-length: 4\r\n\r\nabcd",
    "a bad chunk size": HEAD + "transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a control character": HEAD + "x-a: b\x01c\r\n\r\n",
    "two hosts": HEAD + "host: other.localhost\r\n\r\n",
    "no host": "GET /api/v1/users/me HTTP/1.1\r\n\r\n",
    "a host that is none": "GET /api/v1/users/me HTTP/1.1\r\nhost: a b/../c\r\n\r\n",
    "two credentials": HEAD + "authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
    "not HTTP": "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
}


@pytest.mark.parametrize("form", AMBIGUOUS)
async def test_ambiguous_requests_are_refused(client, services, form: str) -> None:  # type: ignore[no-untyped-def]
    """A request that can be read in two ways is a 400 problem document and reaches no service."""
    request = AMBIGUOUS[form].replace("HTTP/1.1\r\n", "HTTP/1.1\r\nconnection: close\r\n", 1)
    answer = await raw(client.base_url.port, request)
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head[:12] == b"HTTP/1.1 400", answer
    assert b"application/problem+json" in head
    assert b'"request_id"' in body


async def test_heads_are_bounded(client) -> None:  # type: ignore[no-untyped-def]
    """Endless headers are refused, not collected."""
    lines = "".join(f"x-{number}: {'y' * 1000}\r\n" for number in range(2000))

    try:
        answer = await raw(client.base_url.port, "GET /api/v1/users/me HTTP/1.1\r\nhost: localhost\r\n" + lines)
    except ConnectionError:
        answer = b""

    assert answer == b"" or b"headers-too-large" in answer


async def test_pipelined_requests_are_answered_in_order(client) -> None:  # type: ignore[no-untyped-def]
    """Requests sent at once on one connection get their answers in order."""
    one = "POST /api/v1/auth/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n{}"
    close = "POST /api/v1/auth/x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1\r\n\r\nZ"
    answer = await raw(client.base_url.port, "".join(one.format(mark) for mark in "ABC") + close)

    places = [answer.index(b'"body": "%b"' % mark) for mark in (b"A", b"B", b"C", b"Z")]
    assert sorted(places) == places


async def test_a_handshake_behind_an_open_request_is_cut(client) -> None:  # type: ignore[no-untyped-def]
    """A WebSocket handshake pipelined behind a request does not get into its answer."""
    pipelined = (
        "GET /api/v1/auth/x HTTP/1.1\r\nhost: localhost\r\n\r\n"
        "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    try:
        async with asyncio.timeout(60):
            answer = await raw(client.base_url.port, pipelined)
    except ConnectionError:
        answer = b""

    assert b"101" not in answer[:20]

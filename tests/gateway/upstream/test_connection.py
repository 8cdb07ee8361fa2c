"""The upstream client before services that misbehave on the wire."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.gateway.support import bearer, gateway_for, token, until_async

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
async def nasty(services_url: str, redis_url: str, nats_url: str) -> AsyncIterator["Nasty"]:
    """A gateway whose pipelines service is a raw socket that follows a script."""
    async with Nasty.listening() as made:
        urls = dict.fromkeys(("auth", "records", "realtime"), services_url) | {"pipelines": made.url}
        with gateway_for(urls, redis_url, nats_url) as url:
            async with httpx.AsyncClient(base_url=url, headers=bearer(token()), timeout=60) as client:
                made.client = client
                yield made


class Nasty:
    """A service on a raw socket: each request is answered by the next piece of the script."""

    client: httpx.AsyncClient

    def __init__(self) -> None:
        self.script: Script = self.say(OK)
        self.connections = 0
        self.requests: list[bytes] = []
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["Nasty"]:
        """Listens for as long as the block lasts."""
        made = cls()
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield made
        finally:
            server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection."""
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await self.script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def say(self, *pieces: bytes, close: bool = False, reset: bool = False) -> Script:
        """Sends pieces as they are, each in a segment of its own as far as the kernel lets it."""

        async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if reset:
                writer.transport.abort()
            if close or reset:
                raise ConnectionError

        return script

    async def get(self, **options: str) -> httpx.Response:
        """One GET through the gateway."""
        return await self.client.get("/api/v1/pipelines", **options)  # type: ignore[arg-type]


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
GOOD = {
    "a length": (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",),
    "chunks": (CHUNKED + b"2\r\nhe\r\n", b"3\r\nllo\r\n", b"0\r\nx: y\r\n\r\n"),
    "byte by byte": tuple(bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
    "interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
                        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
    "no reason": (b"HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\nhello",),
}  # fmt: skip


@pytest.mark.parametrize("form", GOOD)
async def test_good_answers_of_every_form(nasty: Nasty, form: str) -> None:
    """However a service frames and cuts its answer, the client gets it whole, and the connection is used again."""
    nasty.script = nasty.say(*GOOD[form])

    answers = [await nasty.get() for _ in range(3)]

    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "hello")] * 3
    assert nasty.connections == 1
    assert not any("link" in answer.headers for answer in answers)


async def test_an_answer_that_ends_with_the_connection(nasty: Nasty) -> None:
    """A body without length lasts until the service closes."""
    nasty.script = nasty.say(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", close=True)

    answers = [await nasty.get() for _ in range(2)]

    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "hello")] * 2


async def test_answers_without_a_body(nasty: Nasty) -> None:
    """HEAD, 204 and 304 have no body whatever their headers say, and the connection is used again."""
    nasty.script = nasty.say(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
    head = await nasty.client.head("/api/v1/pipelines")
    nasty.script = nasty.say(b'HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\netag: "1"\r\n\r\n')
    unchanged = await nasty.get()
    nasty.script = nasty.say(b"HTTP/1.1 204 No Content\r\n\r\n")
    empty = await nasty.client.delete("/api/v1/pipelines/1")
    nasty.script = nasty.say(OK)
    last = await nasty.get()

    assert (head.status_code, head.headers["content-length"], head.content) == (200, "500", b"")
    assert (unchanged.status_code, unchanged.headers["etag"], unchanged.content) == (304, '"1"', b"")
    assert (empty.status_code, empty.content) == (204, b"")
    assert (last.status_code, last.text, nasty.connections) == (200, "ok", 1)


BAD = {
    "garbage": (b"\x00\x01garbage\r\n\r\n",),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n",),
    "two lengths": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",),
    "length and chunks": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",),
    "switch of protocols": (b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",),
    "status out of range": (b"HTTP/1.1 799 Odd\r\ncontent-length: 0\r\n\r\n",),
    "endless head": (b"HTTP/1.1 200 OK\r\n", *(b"x-%d: %b\r\n" % (number, b"y" * 1000) for number in range(100))),
    "closed in the head": (b"HTTP/1.1 200 OK\r\ncontent-",),
    "bad chunk": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",),
}  # fmt: skip


@pytest.mark.parametrize("form", [form for form in BAD if form != "bad chunk"])
async def test_what_is_not_http_is_a_clear_503(nasty: Nasty, form: str) -> None:
    """An answer that cannot be read is a problem document, and the next request fares well on a new connection."""
    nasty.script = nasty.say(*BAD[form], close=True)
    broken = await nasty.get()
    nasty.script = nasty.say(OK)
    good = await nasty.get()

    assert (broken.status_code, broken.json()["type"]) == (503, "/problems/upstream-broken")
    assert (good.status_code, good.text) == (200, "ok")


@pytest.mark.parametrize("pieces", [
    (b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b"x" * 70_000),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",),
])  # fmt: skip
async def test_a_service_that_dies_in_the_body_is_noticed(nasty: Nasty, pieces: tuple[bytes, ...]) -> None:
    """A client is never told that a broken answer is complete."""
    nasty.script = nasty.say(*pieces, close=True)

    with pytest.raises(httpx.TransportError):
        await nasty.get()


async def test_an_answer_nobody_asked_for_reaches_nobody(nasty: Nasty) -> None:
    """What follows a complete answer poisons the connection: it never becomes another request's answer."""
    nasty.script = nasty.say(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")

    answers = [await nasty.get() for _ in range(5)]

    assert [answer.text for answer in answers] == ["ok"] * 5
    assert nasty.connections == 5


async def test_only_idempotent_requests_are_sent_again(nasty: Nasty) -> None:
    """A stale pooled connection is invisible to GET and PUT; a POST is sent once only."""
    await nasty.get()
    nasty.requests.clear()
    first = nasty.connections

    async def stale(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if nasty.connections == first:
            raise ConnectionError
        await nasty.say(OK)(reader, writer)

    nasty.script = stale
    put = await nasty.client.put("/api/v1/pipelines/1")
    sent_for_put = len(nasty.requests)
    first = nasty.connections
    post = await nasty.client.post("/api/v1/pipelines")

    assert (put.status_code, sent_for_put) == (200, 2)
    assert (post.status_code, len(nasty.requests)) == (503, 3)


async def test_an_early_answer_to_a_long_body(nasty: Nasty) -> None:
    """A service may answer before it has read the body; the client gets that answer, and the rest goes nowhere."""

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 409 Conflict\r\ncontent-length: 4\r\n\r\nstop")
        await reader.read()
        raise ConnectionError

    nasty.script = early

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 65536

    answer = await nasty.client.post("/api/v1/pipelines", content=pieces())

    assert (answer.status_code, answer.text) == (409, "stop")


async def test_a_long_answer_waits_for_a_slow_client(nasty: Nasty) -> None:
    """Backpressure reaches the service: it cannot push a large answer into the gateway's memory."""
    size, sent = 64 * 1024 * 1024, 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    nasty.script = flood
    async with nasty.client.stream("GET", "/api/v1/pipelines") as answer:
        stuck, before = 0, -1
        while stuck < 20:
            await asyncio.sleep(0.01)
            stuck, before = (stuck + 1 if before == sent else 0), sent
        held = sent
        total = 0
        async for piece in answer.aiter_bytes():
            total += len(piece)

    assert held < size // 2
    assert size == total


async def test_a_client_that_goes_away_ends_the_answer(nasty: Nasty) -> None:
    """When the client has gone, the service's answer is given up."""
    ended = False

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal ended
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"5\r\nhello\r\n")
                await writer.drain()
                await asyncio.sleep(0.005)
        finally:
            ended = True

    nasty.script = endless
    async with nasty.client.stream("GET", "/api/v1/pipelines") as answer:
        await anext(answer.aiter_bytes())

    async def has_ended() -> bool:
        return ended

    assert await until_async(has_ended)


async def test_random_cuts_and_bytes_never_hang_or_leak(nasty: Nasty) -> None:
    """However an answer is mutilated, each request ends, and a good one afterwards gets its own answer."""
    dice = random.Random(7)
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for number in range(150):
        broken = bytearray(whole)
        for _ in range(dice.randrange(1, 4)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        broken = broken[: dice.randrange(1, len(broken) + 1)]
        nasty.script = nasty.say(bytes(broken), close=dice.random() < 0.7, reset=dice.random() < 0.3)
        try:
            async with asyncio.timeout(0.25):
                await nasty.get()
        except (httpx.TransportError, TimeoutError):
            pass
        marker = b"%06d" % number
        nasty.script = nasty.say(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n" + marker)
        good = await nasty.get()
        assert (200, marker) == (good.status_code, good.content), bytes(broken)

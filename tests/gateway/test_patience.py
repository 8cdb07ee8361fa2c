"""Clients that take their time, on raw connections."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from gateway.server import Patience
from tests.gateway.support import gateway_for
from tests.support.waiting import eventually

SHORT = 0.2
LONG = 60.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
REFUSED = b"POST /api/v1/pipelines HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Streams]:
    """A raw connection to a gateway."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()


@pytest.fixture
def patience(request: pytest.FixtureRequest) -> Patience:
    """As the test's parameter says, and swept often."""
    return Patience(**{"head": LONG, "linger": LONG, "idle": LONG, "sweep": 0.02, **request.param})


@pytest.fixture
def hasty_url(services_url: str, redis_url: str, nats_url: str, patience: Patience) -> Iterator[str]:
    """A gateway with that patience."""
    with gateway_for(services_url, redis_url, nats_url, patience=patience) as url:
        yield url


async def drips(streams: Streams, drop: bytes) -> None:
    """Sends a drop again and again until the gateway closes."""
    reader, writer = streams
    while not reader.at_eof() and not writer.is_closing():
        writer.write(drop)
        try:
            await asyncio.wait_for(reader.read(65536), 0.02)
        except TimeoutError:
            continue
        except ConnectionError:
            return


@pytest.mark.parametrize("patience", [{"head": SHORT}], indirect=True)
async def test_a_head_that_drips_in_is_given_up(hasty_url: str) -> None:
    """A client that never finishes its head loses the connection, however steadily it sends (slow-loris)."""
    async with asyncio.timeout(60), connected(hasty_url) as streams:
        streams[1].write(b"GET /api/v1/pipelines HTTP/1.1\r\nx-slow: ")
        await drips(streams, b"a")


@pytest.mark.parametrize("patience", [{"linger": SHORT}], indirect=True)
async def test_a_body_after_its_answer_is_given_up(hasty_url: str) -> None:
    """A client gets the early answer whole, and may go on with its body only for a while."""
    async with asyncio.timeout(60), connected(hasty_url) as streams:
        streams[1].write(REFUSED)
        head = await streams[0].readuntil(b"\r\n\r\n")
        await drips(streams, b"a")

    assert head.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("patience", [{"idle": SHORT}], indirect=True)
async def test_an_idle_connection_is_closed(hasty_url: str) -> None:
    """A kept connection without requests ends, after the answers that were asked for."""
    async with asyncio.timeout(60), connected(hasty_url) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n" * 2)
        everything = await reader.read()

    assert everything.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("patience", [{"head": SHORT, "idle": SHORT}], indirect=True)
async def test_a_body_may_take_longer_than_a_head(hasty_url: str) -> None:
    """What bounds heads and idling does not cut off a body that is still awaited."""
    body = b"email=a"
    async with asyncio.timeout(60), connected(hasty_url) as (reader, writer):
        writer.write(b"POST /api/v1/auth/refresh HTTP/1.1\r\nhost: localhost\r\ncontent-length: 7\r\n\r\n")
        for byte in body:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), SHORT / 3)
            writer.write(bytes([byte]))
        answer = await reader.readuntil(b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")


ASK = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.mark.parametrize("farewell", [LONG, SHORT])
async def test_a_gateway_that_leaves_says_so(services_url: str, redis_url: str, nats_url: str, farewell: float) -> None:
    """What is asked on a kept connection while it leaves is answered, and the connection ends then, or else soon."""
    running = ExitStack()
    url = running.enter_context(gateway_for(services_url, redis_url, nats_url, patience=Patience(farewell=farewell)))

    async def refuses() -> bool:
        try:
            async with connected(url):
                return False
        except ConnectionError:
            return True

    async with asyncio.timeout(60), connected(url) as (reader, writer):
        writer.write(ASK)
        first = await reader.readuntil(b"{}}")
        leaving = asyncio.create_task(asyncio.to_thread(running.close))
        await eventually(refuses)
        if farewell == LONG:
            writer.write(ASK)
        last = await reader.read()
        await leaving

    assert (b"connection: close" in first, b"connection: close" in last) == (False, farewell == LONG)
    assert last.startswith(b"HTTP/1.1 200 ") == (farewell == LONG)

"""Calls outward, against a server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from libs.common.errors import Invalid, Unavailable
from libs.common.outward import MAX_ANSWER_BYTES, Outward

Answering = Callable[[bytes], Awaitable[int]]


@pytest.fixture
async def answering() -> AsyncIterator[Answering]:
    """Starts a server that gives everyone the same bytes; tells its port."""
    servers: list[asyncio.Server] = []

    async def start(answer: bytes) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        return int(servers[-1].sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()


@pytest.fixture
async def outward() -> AsyncIterator[Outward]:
    """A client that may call loopback."""
    client = Outward(private=True)
    await client.start()
    yield client
    await client.stop()


async def test_a_redirect_is_not_followed(outward: Outward, answering: Answering) -> None:
    """It is the answer."""
    port = await answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nno")
    answer = await outward.fetch("GET", f"http://localhost:{port}/")
    assert (answer.status, answer.body) == (302, b"no")


async def test_an_answer_is_bounded(outward: Outward, answering: Answering) -> None:
    """Neither a long body nor a broken or an absent server is an error of ours."""
    size = MAX_ANSWER_BYTES + 1
    port = await answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    for url in (f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{await answering(b'what')}/", "http://127.0.0.1:1/"):
        with pytest.raises(Unavailable):
            await outward.fetch("GET", url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[fe80::1]",
        "[2002:7f00:1::]", "224.0.0.1", "0.0.0.0", "localhost", "LOCALHOST.", "[fec0::1]", "[::7f00:1]",
        "[64:ff9b:1::7f00:1]", "192.0.0.192", "168.63.129.16",
    ],
)  # fmt: skip
async def test_private_addresses_are_refused(host: str) -> None:
    """Also where an IPv6 address stands for an IPv4 one."""
    with pytest.raises(Invalid) as error:
        await Outward().fetch("GET", f"https://{host}/")
    assert error.value.errors[0].code == "private_address"


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example"])
async def test_what_is_no_name_does_not_answer(outward: Outward, host: str) -> None:
    """A host that no DNS could know is one that is away, not a fault of ours."""
    with pytest.raises(Unavailable):
        await outward.fetch("GET", f"https://{host}/")


async def test_a_name_of_a_private_address_is_refused_when_it_is_called() -> None:
    """What counts is what the name resolves to."""
    client = Outward()
    await client.start()
    with pytest.raises(Unavailable):
        await client.fetch("GET", "https://ip6-localhost/")
    with pytest.raises(Unavailable):
        await client.fetch("GET", "https://127.1/")
    await client.stop()


@pytest.mark.parametrize(
    "url",
    ["http://id.example.com", "ftp://id.example.com", "https://", "https://a@b.example", "https://x:99999", "https://ä",
     "https://x/\n", "https://x:0"],
)  # fmt: skip
async def test_only_plain_https_addresses_are_taken(url: str) -> None:
    """No other scheme, no credentials, nothing unprintable."""
    assert [fault.code for fault in Outward().check(url, "/issuer")] == ["invalid_url"]

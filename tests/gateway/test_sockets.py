"""WebSockets through the gateway."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from ops.embedded import free_port
from tests.gateway.support import DEMO, gateway_for, raw, until_async

PATHS = {
    "/ws": "/api/v1/ws",
    "/api/v1/ws": "/api/v1/ws",
    "/api/ws/": "/api/v1/ws",
    "/ws/records/7/": "/api/v1/ws/records/7",
    "/ws/docs/7/notes": "/api/v1/ws/docs/7/notes",
}


def _ws(gateway_url: str) -> str:
    return gateway_url.replace("http://", "ws://")


@pytest.mark.parametrize("path", PATHS)
async def test_every_form_of_the_path_reaches_realtime(gateway_url: str, path: str) -> None:
    """Sockets are found with and without version and trailing slash."""
    async with connect(_ws(gateway_url) + path + "?ticket=a%20b") as socket:
        seen = json.loads(await socket.recv())

    assert (PATHS[path], "ticket=a%20b") == (seen["path"], seen["query"])


async def test_the_handshake_is_passed_on(gateway_url: str) -> None:
    """Sub-protocols, origin and credentials pass, internal headers do not, and the tenant of the host is told."""
    protocols = [Subprotocol("bearer"), Subprotocol("abc.def")]
    headers = {"x-tenant": "demo", "x-millrace-tenant": "forged", "authorization": "Bearer x"}
    async with connect(
        _ws(gateway_url) + "/ws", subprotocols=protocols, additional_headers=headers, origin=Origin("http://app.test")
    ) as socket:
        seen = json.loads(await socket.recv())["headers"]

    assert socket.subprotocol == "bearer"
    assert seen["sec-websocket-protocol"].replace(",", ", ").replace("  ", " ") == "bearer, abc.def"
    passed = [seen[name] for name in ("origin", "authorization", "x-millrace-tenant")]
    assert passed == ["http://app.test", "Bearer x", str(DEMO)]
    assert socket.response is not None
    assert seen["x-request-id"] == socket.response.headers["x-request-id"]


async def test_frames_of_every_kind_and_size_pass(gateway_url: str) -> None:
    """Text, binary and long messages come back as they went."""
    async with connect(_ws(gateway_url) + "/ws", max_size=None) as socket:
        await socket.recv()
        for message in ("ö", b"\x00\xff", "x" * 200_000, b"y" * 3_000_000):
            await socket.send(message)
            assert message == await socket.recv()
        await (await socket.ping())


async def test_close_codes_pass_both_ways(gateway_url: str, services) -> None:  # type: ignore[no-untyped-def]
    """The code that one side closes with is the code that the other side sees."""
    async with connect(_ws(gateway_url) + "/ws") as socket:
        await socket.recv()
        await socket.send("close 4010")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    async with connect(_ws(gateway_url) + "/ws") as other:
        await other.recv()
        await other.close(4001)

    async def is_closed() -> bool:
        return bool(services.closed == 4001)

    await until_async(is_closed)

    assert (socket.close_code, socket.close_reason) == (4010, "asked")


async def test_refusals_are_http_answers(gateway_url: str) -> None:
    """A handshake refused by the service, by the path or by the host is an HTTP answer, not a socket."""
    for path, status in (("/ws/refused", 403), ("/api/v1/pipelines", 401), ("/api/v1/auth/x", 400), ("/nothing", 404)):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(_ws(gateway_url) + path).__aenter__()
        assert status == refusal.value.response.status_code, path


async def test_a_service_that_is_away_is_a_503(services_url: str, redis_url: str, nats_url: str) -> None:
    """A handshake cannot be taken on while realtime is away."""
    urls = dict.fromkeys(("auth", "records", "pipelines"), services_url)
    urls["realtime"] = f"http://127.0.0.1:{free_port()}"
    with gateway_for(urls, redis_url, nats_url) as url, pytest.raises(InvalidStatus) as refusal:
        await connect(_ws(url) + "/ws").__aenter__()

    assert refusal.value.response.status_code == 503


async def test_bytes_before_the_answer_are_not_passed(gateway_url: str) -> None:
    """A request hidden behind a handshake that will be refused does not reach the service."""
    handshake = (
        "GET /ws/refused HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = await raw(int(gateway_url.rpartition(":")[2]), handshake + "GET /internal HTTP/1.1\r\nhost: x\r\n\r\n")

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer[:12] == b"HTTP/1.1 403"


@pytest.fixture
async def flood() -> AsyncIterator[tuple[str, list[int]]]:
    """A realtime service that sends without end; gives its URL and a place where it counts."""
    sent = [0]

    async def send(socket: ServerConnection) -> None:
        while True:
            await socket.send(b"x" * 65536)
            sent[0] += 1

    async with serve(send, "127.0.0.1", 0, compression=None) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", sent


async def test_a_slow_reader_stops_the_sender(
    flood: tuple[str, list[int]], services_url: str, redis_url: str, nats_url: str
) -> None:
    """What a client does not read does not pile up in the gateway: the service's sending stops."""
    url, sent = flood
    urls = dict.fromkeys(("auth", "records", "pipelines"), services_url) | {"realtime": url}
    with gateway_for(urls, redis_url, nats_url) as gateway:
        async with connect(_ws(gateway) + "/ws", max_queue=1, compression=None, close_timeout=0.1) as socket:
            await socket.recv()
            still, before = 0, -1
            async with asyncio.timeout(60):
                while still < 30:
                    await asyncio.sleep(0.01)
                    still, before = (still + 1 if before == sent[0] else 0), sent[0]
            held = sent[0]
            for _ in range(held + 10):
                await socket.recv()

    assert held * 65536 < 64 * 1024 * 1024
    assert sent[0] > held

"""Several instances of a service behind one gateway."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import httpx
import pytest
from websockets.asyncio.client import connect

from ops.embedded import free_port
from tests.gateway.support import Services, bearer, gateway_for, serving, token, until_async, upstream_server


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Two instances of all services."""
    with ExitStack() as stack:
        yield [stack.enter_context(serving(lambda: upstream_server(Services()))) for _ in range(2)]


@pytest.fixture
def dead() -> int:
    """A port where nobody listens."""
    return free_port()


def _urls(*ports: int) -> str:
    return ",".join(f"http://127.0.0.1:{port}" for port in ports)


@asynccontextmanager
async def _client(urls: str, redis_url: str, nats_url: str) -> AsyncIterator[httpx.AsyncClient]:
    with gateway_for(urls, redis_url, nats_url) as url:
        async with httpx.AsyncClient(base_url=url, headers=bearer(token()), timeout=60) as client:
            yield client


async def _instance(client: httpx.AsyncClient, method: str = "GET", body: bytes | None = None) -> str:
    answer = await client.request(method, "/api/v1/pipelines", content=body)
    assert answer.status_code == 200, answer.text
    return str(dict(answer.json()["headers"])["host"])


async def test_requests_are_spread_over_instances(ports: list[int], redis_url: str, nats_url: str) -> None:
    """Each of two idle instances answers half of the requests."""
    async with _client(_urls(*ports), redis_url, nats_url) as client:
        seen = Counter([await _instance(client) for _ in range(20)])

    assert seen == {f"127.0.0.1:{port}": 10 for port in ports}


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"x" * 300_000)])
async def test_a_dead_instance_costs_no_request(
    ports: list[int], dead: int, redis_url: str, nats_url: str, method: str, body: bytes | None
) -> None:
    """While one of three instances does not listen, every request is answered by the others, whatever its method."""
    async with _client(_urls(ports[0], dead, ports[1]), redis_url, nats_url) as client:
        seen = Counter([await _instance(client, method, body) for _ in range(20)])
        status = (await client.get("/api/v1/status")).json()

    assert seen.keys() == {f"127.0.0.1:{port}" for port in ports}
    assert (status["status"], status["services"]["records"]["instances"]) == ("degraded", {"ok": 2, "away": 1})


async def test_an_instance_that_comes_back_is_asked_again(
    ports: list[int], dead: int, redis_url: str, nats_url: str
) -> None:
    """A connection that succeeds in the background brings an instance back."""
    async with _client(_urls(ports[0], dead), redis_url, nats_url) as client:
        assert {await _instance(client) for _ in range(10)} == {f"127.0.0.1:{ports[0]}"}
        with serving(lambda: upstream_server(Services(), dead)):

            async def asked() -> bool:
                return await _instance(client) == f"127.0.0.1:{dead}"

            assert await until_async(asked)


async def test_what_breaks_off_is_sent_again_only_where_that_is_harmless(
    ports: list[int], redis_url: str, nats_url: str
) -> None:
    """An instance that closes before it answers costs no GET, PUT, or POST with a key; another POST is told so."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    breaking = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    urls = {**dict.fromkeys(("auth", "records", "realtime"), _urls(ports[0])), "pipelines": ""}
    urls["pipelines"] = _urls(ports[0], breaking.sockets[0].getsockname()[1])
    async with breaking:
        with gateway_for(urls, redis_url, nats_url) as url:
            async with httpx.AsyncClient(base_url=url, headers=bearer(token()), timeout=60) as client:
                harmless = [await _instance(client, method, b"{}") for method in ("PUT", "GET") * 5]
                keyed = {"idempotency-key": "one"}
                kept = [(await client.post("/api/v1/pipelines", content=b"{}", headers=keyed)) for _ in range(6)]
                told = [(await client.post("/api/v1/pipelines", content=b"{}")).status_code for _ in range(6)]

    assert set(harmless) == {f"127.0.0.1:{ports[0]}"}
    assert {answer.status_code for answer in kept} == {200}
    assert {dict(answer.json()["headers"])["idempotency-key"] for answer in kept} == {"one"}
    assert Counter(told) == {200: 3, 503: 3}


async def test_sockets_go_to_the_instance_with_the_fewest(
    ports: list[int], dead: int, redis_url: str, nats_url: str
) -> None:
    """Of four sockets each of two instances gets two, and a third that is dead none."""
    headers = bearer(token())
    with gateway_for(_urls(*ports, dead), redis_url, nats_url) as url:
        address = url.replace("http", "ws") + "/api/v1/ws"
        async with AsyncExitStack() as opened:
            sockets = [await opened.enter_async_context(connect(address, additional_headers=headers)) for _ in range(4)]
            seen = Counter([json.loads(await socket.recv())["headers"]["host"] for socket in sockets])

    assert seen == {f"127.0.0.1:{port}": 2 for port in ports}

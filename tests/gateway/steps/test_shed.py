"""A service that is slow, and has too much to do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from gateway.route_table import Route
from tests.gateway.support import Scope, bearer, gateway_for, reply, serving, token, until_async, upstream_server

BOUND = 2
ROUTES = (
    Route(pattern="pipelines", service="pipelines"),
    Route(pattern="records", service="pipelines", answer_seconds=0.2),
    Route(pattern="users", service="auth"),
)


class Stuck:
    """A service that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.told = False

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Waits, then answers."""
        self.asked += 1
        while not self.told and (await _soon(receive()))["type"] != "http.disconnect":
            pass
        await reply(send, 200, {})

    async def is_full(self) -> bool:
        """Whether as many requests have come as the gateway admits."""
        return self.asked >= BOUND


async def _soon(message: Any) -> Any:
    try:
        return await asyncio.wait_for(message, 0.02)
    except TimeoutError:
        return {"type": ""}


@pytest.fixture
def stuck() -> Stuck:
    """The service behind pipelines and records."""
    return Stuck()


@pytest.fixture
async def client(services_url: str, redis_url: str, nats_url: str, stuck: Stuck) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that has two requests at a time in flight to each service."""
    with serving(lambda: upstream_server(stuck)) as port:
        urls = dict.fromkeys(("auth", "records", "realtime"), services_url) | {"pipelines": f"http://127.0.0.1:{port}"}
        with gateway_for(urls, redis_url, nats_url, routes=ROUTES, max_in_flight=BOUND) as url:
            async with httpx.AsyncClient(base_url=url, headers=bearer(token()), timeout=60) as made:
                yield made
                stuck.told = True


async def test_requests_in_flight_are_bounded(client: httpx.AsyncClient, stuck: Stuck) -> None:
    """What exceeds the bound is refused at once; what was admitted is answered, and makes room for others."""
    admitted = [asyncio.create_task(client.get("/api/v1/pipelines")) for _ in range(BOUND)]
    await until_async(stuck.is_full)

    refused = [await client.get("/api/v1/pipelines") for _ in range(3)]
    beside = await client.get("/api/v1/users/me")
    stuck.told = True
    answered = await asyncio.gather(*admitted)
    later = [await client.get("/api/v1/pipelines") for _ in range(BOUND + 1)]

    assert {(answer.status_code, answer.json()["type"]) for answer in refused} == {(503, "/problems/overloaded")}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert beside.status_code == 200
    assert {200} == {answer.status_code for answer in (*answered, *later)}
    assert stuck.asked == 2 * BOUND + 1


async def test_a_client_that_leaves_makes_room(client: httpx.AsyncClient, stuck: Stuck) -> None:
    """A request whose client has gone is in flight no longer, although the service has not answered."""
    leaving = [asyncio.create_task(client.get("/api/v1/pipelines")) for _ in range(BOUND)]
    await until_async(stuck.is_full)
    for request in leaving:
        request.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)

    async def has_room() -> bool:
        with suppress(httpx.TimeoutException):
            await client.get("/api/v1/pipelines", timeout=0.1)
        return stuck.asked > BOUND

    assert await until_async(has_room)


async def test_a_slow_service_is_not_waited_for(client: httpx.AsyncClient, stuck: Stuck) -> None:
    """An answer that does not begin within its route's time is a clear 503, and the slot is free again."""
    late = [await client.get("/api/v1/records") for _ in range(BOUND + 1)]
    late.append(await client.post("/api/v1/records", content=b"{}"))
    stuck.told = True
    good = await client.get("/api/v1/records")

    assert [(answer.status_code, answer.json()["type"]) for answer in late] == [(503, "/problems/upstream-timeout")] * 4
    assert good.status_code == 200

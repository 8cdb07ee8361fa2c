"""A service that is reached by a Unix socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect

from libs.common.server import Server
from tests.gateway.support import Services, bearer, gateway_for, serving, token


def service(path: Path) -> uvicorn.Server:
    """A service that listens on a Unix socket besides its port."""
    config = uvicorn.Config(
        Services(), port=0, loop="uvloop", lifespan="off", log_config=None, ws="websockets-sansio",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    return Server(config, unix_socket=str(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the service's socket is."""
    return tmp_path / "service.sock"


@pytest.fixture
def gateway(path: Path, redis_url: str, nats_url: str) -> Iterator[str]:
    """A gateway that knows only the socket."""
    with gateway_for(f"unix://{path}", redis_url, nats_url) as url:
        yield url


async def test_requests_go_by_the_socket(path: Path, gateway: str) -> None:
    """A gateway reaches its services by a Unix socket: their keys, their answers and their WebSockets."""
    with serving(lambda: service(path)):
        async with httpx.AsyncClient(base_url=gateway) as client:
            answer = await client.get("/api/v1/pipelines", headers=bearer(token()))
        address = gateway.replace("http", "ws") + "/api/v1/ws"
        async with connect(address, additional_headers={"x-tenant": "demo"}, proxy=None) as client_socket:
            await client_socket.recv()
            await client_socket.send("hello")
            echoed = await client_socket.recv()

    assert (answer.status_code, answer.json()["path"], echoed) == (200, "/api/v1/pipelines", "hello")


async def test_a_socket_left_behind_is_no_obstacle(path: Path, gateway: str) -> None:
    """While nobody listens the answer is 503; a service that starts on the file of one that was killed serves."""
    async with httpx.AsyncClient(base_url=gateway) as client:
        with serving(lambda: service(path)):
            await client.get("/api/v1/pipelines", headers=bearer(token()))
        _leave_behind(path)
        away = await client.get("/api/v1/pipelines", headers=bearer(token()))
        with serving(lambda: service(path)):
            back = await client.get("/api/v1/pipelines", headers=bearer(token()))

    assert (away.status_code, back.status_code) == (503, 200)


def test_only_the_owner_may_enter(path: Path) -> None:
    """The socket's mode lets no other user of the machine connect."""
    with serving(lambda: service(path)):
        mode = path.stat().st_mode & 0o777

    assert not mode & 0o022


def _leave_behind(path: Path) -> None:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

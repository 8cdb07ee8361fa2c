"""Mutual TLS between the gateway and the services."""

import contextlib
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect

from libs.common.settings import ServiceSettings
from libs.common.tls import Certificates
from ops.stack.home import PROJECT
from tests.gateway.support import DEMO, Services, bearer, gateway_for, serving, token, upstream_server
from tests.support.authority import Authority, Files


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs for gateway and services."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> Files:
    """The certificate of the services."""
    return authority.issue("service")


@pytest.fixture
def secured(services: Services, files: Files) -> Iterator[int]:
    """Services that answer only those who have a certificate of their authority; gives their port."""
    with serving(lambda: server(services, files)) as port:
        yield port


def server(app: Any, files: Files) -> uvicorn.Server:
    """A service with this certificate."""
    given: dict[str, Any] = {**files.settings, "tls_client_ca_file": files.authority}
    context = Certificates(ServiceSettings(port=0, redis_url="", nats_url="", **given)).server
    made = upstream_server(app)
    made.config.ssl_context_factory = lambda *_: context  # type: ignore[assignment, return-value]
    return made


async def test_requests_and_sockets_pass_by_mutual_tls(
    secured: int, authority: Authority, redis_url: str, nats_url: str
) -> None:
    """The gateway shows its certificate and believes the services'; clients see no difference."""
    own = authority.issue("gateway")
    with gateway_for(f"https://localhost:{secured}", redis_url, nats_url, **own.settings) as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            for number in range(3):
                answer = await client.post("/api/v1/pipelines", headers=bearer(token(DEMO)), json={"number": number})
                assert (answer.status_code, json.loads(answer.json()["body"])) == (200, {"number": number})
            large = "x" * 3_000_000
            answer = await client.post("/api/v1/pipelines", headers=bearer(token(DEMO)), json=large)
            assert json.loads(answer.json()["body"]) == large
        async with connect(url.replace("http", "ws", 1) + "/api/v1/ws?ticket=a") as websocket:
            assert json.loads(await websocket.recv())["path"] == "/api/v1/ws"


async def test_services_answer_nobody_without_a_certificate(secured: int, files: Files) -> None:
    """Whoever reaches a service by another road, and shows none, is cut off in the handshake."""
    bare = ssl.create_default_context(cafile=files.authority)
    assert heard(secured, bare) == b""
    bare.load_cert_chain(files.certificate, files.key)
    assert heard(secured, bare).startswith(b"HTTP/1.1 200")


def heard(port: int, context: ssl.SSLContext) -> bytes:
    """What a service answers; with TLS 1.3 a client learns of its refusal only when it reads."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        return secure.recv(64)
    return b""


async def test_a_gateway_speaks_to_no_stranger(
    services: Services, tmp_path: Path, authority: Authority, redis_url: str, nats_url: str
) -> None:
    """A service whose certificate another authority has signed is away."""
    own = authority.issue("gateway")
    strange = Authority(tmp_path, "stranger").issue("service")
    with (
        serving(lambda: server(services, strange)) as port,
        gateway_for(f"https://localhost:{port}", redis_url, nats_url, **own.settings) as url,
    ):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            answer = await client.get("/api/v1/pipelines", headers={"x-tenant": "demo"})
    assert (answer.status_code, services.resolved) == (503, [])


async def test_a_gateway_may_serve_tls_itself(
    services_url: str, authority: Authority, redis_url: str, nats_url: str
) -> None:
    """With `serve_tls` it answers by https, and tells the services so."""
    own = authority.issue("gateway")
    with gateway_for(services_url, redis_url, nats_url, serve_tls="on", **own.settings) as url:
        context = ssl.create_default_context(cafile=own.authority)
        async with httpx.AsyncClient(verify=context, timeout=60) as client:
            answer = await client.get(f"{url.replace('http', 'https')}/api/v1/pipelines", headers=bearer(token(DEMO)))
    assert ["x-forwarded-proto", "https"] in answer.json()["headers"]


def test_the_health_check_of_a_container_shows_its_own_certificate(secured: int, files: Files) -> None:
    """With the files of the process it is answered, without them it is cut off."""
    own = {"TLS_CERT_FILE": files.certificate, "TLS_KEY_FILE": files.key}
    command = [sys.executable, "-I", "-S", str(PROJECT / "deploy" / "images" / "healthy"), "live"]
    codes = [
        subprocess.run(command, env={"PORT": str(secured), **given}, capture_output=True, timeout=240).returncode
        for given in (own, {}, {**own, "SERVE_TLS": "off"})
    ]
    assert codes == [0, 1, 1]

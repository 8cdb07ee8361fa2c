"""What reaches a service, and what comes back."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.gateway.support import DEMO, OTHER, bearer, raw, token

PATHS = [
    ("/api/v1/pipelines", "/api/v1/pipelines"),
    ("/api/v1/pipelines/", "/api/v1/pipelines"),
    ("/api/pipelines/", "/api/v1/pipelines"),
    ("/api/pipelines/7/records/8/", "/api/v1/pipelines/7/records/8"),
    ("/api/v1/pipelines/7/records/by/site/https%3A%2F%2Fa.b", "/api/v1/pipelines/7/records/by/site/https%3A%2F%2Fa.b"),
    ("/.well-known/openid-configuration", "/.well-known/openid-configuration"),
    ("/api/v1/.well-known/openid-configuration", "/.well-known/openid-configuration"),
]


@pytest.mark.parametrize(("asked", "seen"), PATHS)
async def test_one_resource_has_one_path(client: httpx.AsyncClient, asked: str, seen: str) -> None:
    """A trailing slash and a path without version reach the service as the same path."""
    answer = await client.get(asked, headers=bearer(token()))

    assert (200, seen) == (answer.status_code, answer.json()["path"])


async def test_the_body_and_query_arrive(client: httpx.AsyncClient) -> None:
    """Method, query and body reach the service as the client sent them."""
    answer = await client.post("/api/v1/pipelines?a=1&b=%20", content=b"x" * 300_000, headers=bearer(token()))
    seen = answer.json()

    assert (seen["method"], seen["query"], len(seen["body"])) == ("POST", "a=1&b=%20", 300_000)


async def test_a_chunked_body_arrives(client: httpx.AsyncClient) -> None:
    """A body without a length is streamed to the service in chunks."""

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(50):
            yield b"%04d" % number * 1000

    answer = await client.post("/api/v1/pipelines", content=pieces(), headers=bearer(token()))

    assert len(answer.json()["body"]) == 50 * 4000


async def test_internal_headers_are_the_gateways(client: httpx.AsyncClient) -> None:
    """A client's internal and hop-by-hop headers end at the gateway, which sets its own."""
    forged = {
        "x-millrace-tenant": str(OTHER), "x-forwarded-for": "1.2.3.4", "x-forwarded-user": "root",
        "connection": "keep-alive, x-secret", "x-secret": "1", "te": "trailers", "x-tenant": "demo",
        "x-kept": "yes",
    }  # fmt: skip
    answer = await client.post("/api/v1/auth/refresh", headers=forged)
    seen = dict(answer.json()["headers"])

    assert str(DEMO) == seen["x-millrace-tenant"]
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-kept"] == "yes"
    assert not {"x-forwarded-user", "x-secret", "te", "x-tenant"} & seen.keys()


async def test_a_request_has_an_id_and_a_trace(client: httpx.AsyncClient) -> None:
    """A sane request id is kept, any other replaced; a trace is begun where there is none."""
    kept = await client.get("/api/v1/users/me", headers={**bearer(token()), "x-request-id": "abc-1"})
    replaced = await client.get("/api/v1/users/me", headers={**bearer(token()), "x-request-id": "a b<>"})
    seen = dict(replaced.json()["headers"])

    assert kept.headers["x-request-id"] == "abc-1"
    assert replaced.headers["x-request-id"] == seen["x-request-id"] != "a b<>"
    assert len(seen["traceparent"]) == 55


async def test_what_no_service_answers_is_absent(client: httpx.AsyncClient) -> None:
    """Paths outside the route table are 404 problems, the services' own pages among them."""
    for path in ("/api/v1/nothing", "/internal/tenants/resolve", "/api/v1/internal/x", "/api/v2/pipelines", "/", "/x"):
        answer = await client.get(path, headers=bearer(token()))
        problem = answer.json()

        assert (answer.status_code, problem["type"]) == (404, "/problems/not-found"), path
        assert answer.headers["x-request-id"] == problem["request_id"]
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/v1/users/%2e%2e/x", "/api/v1/../internal", "/api/v1/users/%00", "/api/v1/a//b"])
async def test_paths_are_plain(client: httpx.AsyncClient, path: str) -> None:
    """Relative segments, empty ones and control characters are refused before anything looks at them."""
    answer = await raw(client.base_url.port, f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")

    assert answer[:13] == b"HTTP/1.1 400 "


async def test_paths_are_bounded(client: httpx.AsyncClient) -> None:
    """A path that is too long or too deep is a clear error."""
    for path, code in (("/api/v1/" + "a" * 20_000, "path-too-long"), ("/api/v1" + "/a" * 40, "path-too-deep")):
        answer = await client.get(path)

        assert (400, f"/problems/{code}") == (answer.status_code, answer.json()["type"])


async def test_bodies_are_bounded(client: httpx.AsyncClient) -> None:
    """A body over the bound is 413, whether its length is told before or not."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 65536

    told = await client.post("/api/v1/pipelines", content=b"x" * (11 * 1024 * 1024), headers=bearer(token()))
    streamed = await client.post("/api/v1/pipelines", content=pieces(), headers=bearer(token()))

    assert [told.status_code, streamed.status_code] == [413, 413]


def _signed_in() -> str:
    return f"host: a\r\nauthorization: Bearer {token()}\r\n"


@pytest.mark.parametrize("path", ["/api/v1/pipelines", "/api/v1/nowhere"])
async def test_a_large_body_is_read_before_it_is_refused(gateway_url: str, path: str) -> None:
    """Nothing is answered while a client, which may be a proxy, still sends; then the refusal comes."""
    size = 12 * 1024 * 1024
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(gateway_url).port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\ncontent-length: {size}\r\n\r\n".encode()
    )
    writer.write(b"x" * (size - 1))
    await writer.drain()
    answer = asyncio.create_task(reader.readline())
    assert not (await asyncio.wait([answer], timeout=0.2))[0]
    writer.write(b"x")
    assert (await answer).split()[1] == (b"413" if path.endswith("pipelines") else b"404")
    writer.close()


async def test_a_body_of_no_end_is_refused_at_once(gateway_url: str) -> None:
    """What would take too long to read is not waited for, and neither is one that the client holds back itself."""
    for lines in ("content-length: 99999999999", "content-length: 12000000\r\nexpect: 100-continue"):
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(gateway_url).port)
        writer.write(
            f"POST /api/v1/pipelines HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\n{lines}\r\n\r\n".encode()
        )
        async with asyncio.timeout(60):
            assert (await reader.readline()).split()[1] == b"413"
        writer.close()

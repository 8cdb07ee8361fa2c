from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from libs.common import tracing
from libs.common.edge import Edge
from libs.common.metrics import Metrics

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


class App:
    """An application that does what its path says."""

    def __init__(self) -> None:
        self.trace: str | None = None

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        """Answers, crashes before the answer, or in the midst of it."""
        self.trace = tracing.traceparent()
        if scope["path"] == "/crash":
            raise ValueError("boom: secret")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        if scope["path"] == "/late":
            raise ValueError("late")
        await send({"type": "http.response.body", "body": b"fine"})


@pytest.fixture
def app() -> App:
    """The application behind the edge."""
    return App()


@pytest.fixture
def metrics() -> Metrics:
    """What the edge counts."""
    return Metrics("test", "1")


@pytest.fixture
async def client(app: App, metrics: Metrics) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the edge."""
    transport = httpx.ASGITransport(Edge(app, metrics), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_sane_request_id_is_kept(client: httpx.AsyncClient) -> None:
    """The client's id comes back; one that is not sane, or none, is replaced by one of ours."""
    answer = await client.get("/", headers={"X-Request-ID": "abc-1.2:3_4"})
    assert answer.headers["x-request-id"] == "abc-1.2:3_4"
    for given in ("a b", "x" * 129, 'a"b', ""):
        answer = await client.get("/", headers={"X-Request-ID": given})
        assert len(answer.headers["x-request-id"]) == 36


async def test_head_is_answered_as_get_without_the_body(client: httpx.AsyncClient, metrics: Metrics) -> None:
    """Status and headers are those of GET, also of errors, nothing follows, and it is counted as what it was."""
    for path in ("/", "/crash"):
        got, told = await client.get(path), await client.head(path)
        assert (told.status_code, told.content) == (got.status_code, b"")
        assert told.headers.keys() == got.headers.keys()
    assert b'method="HEAD"' in metrics.render("")[0]


async def test_a_crash_is_an_opaque_problem(client: httpx.AsyncClient) -> None:
    """What nobody caught is a 500 problem document that tells nothing but the request id."""
    answer = await client.get("/crash", headers={"X-Request-ID": "r1"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["request_id"], answer.json()["type"]) == ("r1", "/problems/internal")
    assert "secret" not in answer.text


@pytest.mark.parametrize("url", ["/a%00b", "/?q=%00"])
async def test_nul_is_refused_at_the_door(client: httpx.AsyncClient, url: str) -> None:
    """No storage takes the NUL character, so an address with it is malformed."""
    answer = await client.get(url)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed-request")


async def test_requests_are_measured_without_paths(client: httpx.AsyncClient, metrics: Metrics) -> None:
    """A path without a template is counted as unmatched, so that series stay few."""
    await client.get("/some/path")
    await client.get("/crash")
    text = metrics.render()[0].decode()
    assert 'http_requests_total{method="GET",route="unmatched",status="200"} 1.0' in text
    assert 'http_requests_total{method="GET",route="unmatched",status="500"} 1.0' in text
    assert "http_requests_in_flight 0.0" in text


async def test_an_answer_that_broke_off_is_not_completed(app: App, metrics: Metrics) -> None:
    """After a crash in the midst of an answer nothing more is sent, so that the server cuts the connection."""
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "method": "GET", "path": "/late", "query_string": b"", "headers": []}
    await Edge(app, metrics)(scope, None, send)  # type: ignore[arg-type]
    assert sent == ["http.response.start"]
    assert "http_requests_in_flight 0.0" in metrics.render()[0].decode()


async def test_the_callers_trace_goes_on(client: httpx.AsyncClient, app: App) -> None:
    """A sane traceparent is the context of the request; another one begins anew."""
    await client.get("/", headers={"traceparent": PARENT})
    assert app.trace == PARENT
    await client.get("/", headers={"traceparent": "nonsense"})
    assert app.trace is not None
    assert app.trace.startswith("00-")
    assert app.trace != PARENT

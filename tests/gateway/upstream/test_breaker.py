"""The breaker: alone by a clock of its own, and in a gateway whose service comes and goes."""

import httpx

from gateway.upstream.breaker import FIRST_PAUSE, LONGEST_PAUSE, THRESHOLD, Breaker
from ops.embedded import free_port
from tests.gateway.support import Services, bearer, gateway_for, serving, token, until_async, upstream_server


def test_it_opens_probes_and_closes() -> None:
    """Failures open it, one probe at a time is let through after the pause, and a success closes it."""
    now = 0.0
    breaker = Breaker(lambda: now)
    for _ in range(THRESHOLD):
        assert breaker.refusal() is None
        breaker.failed()

    assert breaker.refusal() is not None
    now += FIRST_PAUSE
    assert [breaker.refusal(), breaker.refusal()] == [None, FIRST_PAUSE]
    breaker.succeeded()
    assert [breaker.refusal(), breaker.refusal()] == [None, None]


def test_pauses_grow_to_a_bound() -> None:
    """Each failed probe doubles the pause, up to a few seconds."""
    now = 0.0
    breaker = Breaker(lambda: now)
    for _ in range(20):
        breaker.failed()

    now += LONGEST_PAUSE
    assert breaker.refusal() is None


async def test_one_service_away_leaves_the_others(services_url: str, redis_url: str, nats_url: str) -> None:
    """A service that is away is refused with Retry-After, the others answer, and it is found when it is back."""
    port = free_port()
    urls = dict.fromkeys(("auth", "records", "realtime"), services_url) | {"pipelines": f"http://127.0.0.1:{port}"}
    with gateway_for(urls, redis_url, nats_url) as url:
        async with httpx.AsyncClient(base_url=url, headers=bearer(token())) as client:
            away = [await client.get("/api/v1/pipelines") for _ in range(6)]
            other = await client.get("/api/v1/users/me")

            async def is_back() -> bool:
                return (await client.get("/api/v1/pipelines")).status_code == 200

            with serving(lambda: upstream_server(Services(), port)):
                await until_async(is_back)

    assert [answer.status_code for answer in away] == [503] * 6
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in away)
    assert other.status_code == 200

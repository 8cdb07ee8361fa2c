"""Rate limits as a client meets them."""

from typing import Any

import httpx

from libs.common.ids import new_id
from tests.gateway.support import bearer, gateway_for, token

LOGIN = "/api/v1/auth/login"


async def test_a_refusal_says_when_to_come_again(services_url: str, redis_url: str, nats_url: str) -> None:
    """Over two gateways a principal gets its burst and then 429 with Retry-After; another is not touched."""
    limits: dict[str, Any] = {"limit_principal_rate": 0.5, "limit_principal_burst": 8}
    with (
        gateway_for(services_url, redis_url, nats_url, **limits) as first,
        gateway_for(services_url, redis_url, nats_url, **limits) as second,
    ):
        async with httpx.AsyncClient(headers=bearer(token(user=new_id()))) as client:
            answers = [await client.get(url + "/api/v1/users/me") for url in [first, second] * 8]
            other = await client.get(first + "/api/v1/users/me", headers=bearer(token()))
    refused = [answer for answer in answers if answer.status_code == 429]

    assert len([answer for answer in answers if answer.status_code == 200]) == 8
    assert {"/problems/rate-limited"} == {answer.json()["type"] for answer in refused}
    assert all(1 <= int(answer.headers["retry-after"]) <= 2 for answer in refused)
    assert {'"principal";q=8;w=16'} == {answer.headers["ratelimit-policy"] for answer in answers}
    assert answers[0].headers["ratelimit"] == '"principal";r=7;t=2'
    assert other.status_code == 200


async def test_sign_in_is_stricter(client: httpx.AsyncClient) -> None:
    """Ten sign-ins a minute for one account; the body still reaches auth whole; other accounts go on."""
    tries = [await client.post(LOGIN, json={"email": "Ada@x.test", "password": str(n)}) for n in range(12)]
    same = await client.post(LOGIN, json={"email": "ada@x.test ", "password": "p"})
    other = await client.post(LOGIN, json={"email": "bob@x.test", "password": "p"})

    assert [answer.status_code for answer in tries] == [200] * 10 + [429] * 2
    assert tries[0].json()["body"] == '{"email":"Ada@x.test","password":"0"}'
    assert (same.status_code, other.status_code) == (429, 200)


async def test_limits_can_be_switched_off(services_url: str, redis_url: str, nats_url: str) -> None:
    """RATE_LIMITS=off refuses nothing and says nothing."""
    with gateway_for(services_url, redis_url, nats_url, rate_limits="off") as url:
        async with httpx.AsyncClient(base_url=url) as client:
            answers = [await client.post(LOGIN, json={"email": "a@x.test"}) for _ in range(15)]

    assert {200} == {answer.status_code for answer in answers}
    assert "ratelimit" not in answers[0].headers


async def test_without_redis_requests_go_on(services_url: str, nats_url: str) -> None:
    """Redis away: limits are kept by each gateway for itself, and requests are served."""
    with gateway_for(services_url, "redis://127.0.0.1:9", nats_url) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            answers = [await client.post(LOGIN, json={"email": "a@x.test"}) for _ in range(12)]

    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2

"""What a tenant's plan allows, as a client meets it at the gateway."""

import httpx

from tests.gateway.support import OTHER, Services, bearer, gateway_for, token

PATH = "/api/v1/users/me"


async def test_a_plan_limits_requests_of_a_minute_over_all_gateways(
    services: Services, services_url: str, redis_url: str, nats_url: str
) -> None:
    """Whoever of the tenant asks, over two gateways, it is as many as the plan says; another tenant goes on."""
    services.plans["demo"] = {"requests_per_minute": 6}
    with (
        gateway_for(services_url, redis_url, nats_url) as first,
        gateway_for(services_url, redis_url, nats_url) as other,
    ):
        async with httpx.AsyncClient() as client:
            answers = [await client.get(url + PATH, headers=bearer(token())) for url in [first, other] * 5]
            next_door = await client.get(first + PATH, headers=bearer(token(OTHER)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 3 <= len(refused) <= 4
    assert {(answer.status_code, answer.json()["type"]) for answer in refused} == {
        (429, "/problems/plan-limit-reached")
    }
    assert refused[0].json()["limit"] == 6
    assert 1 <= int(refused[0].headers["retry-after"]) <= 10
    assert next_door.status_code == 200


async def test_a_plan_limits_requests_of_a_day(client: httpx.AsyncClient, services: Services) -> None:
    """What is refused may come again after midnight; a plan of none allows none."""
    services.plans["demo"] = {"requests_per_day": 5}
    services.plans["other"] = {"requests_per_day": 0}
    answers = [await client.get(PATH, headers=bearer(token())) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].json()["limit_name"] == "requests_per_day"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 86400
    assert (await client.get(PATH, headers=bearer(token(OTHER)))).status_code == 429


async def test_a_tenant_that_waits_to_be_deleted_can_be_saved(client: httpx.AsyncClient, services: Services) -> None:
    """Signing in, sessions and the organization reach auth, which knows who may; nothing else reaches anything."""
    services.tenants["demo"] = (services.tenants["demo"][0], "deleting")
    headers, named = bearer(token()), {"x-tenant": "demo"}
    assert (await client.post("/api/v1/organizations/current/restore", headers=headers)).status_code == 200
    assert (await client.post("/api/v1/auth/login", json={"email": "a@x.test"}, headers=named)).status_code == 200
    for path in ("/users/me", "/pipelines", "/search", "/webhooks", "/compliance/exports"):
        answer = await client.get(f"/api/v1{path}", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/tenant-inactive"), path

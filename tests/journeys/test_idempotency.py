"""A client that repeats a request through the gateway, because it does not know what became of the first."""

import asyncio

import pytest

from tests.journeys.crm import make_pipeline, text
from tests.support.platform import Platform, Tenant

pytestmark = pytest.mark.journey
KEY = {"Idempotency-Key": "order 7"}


async def test_a_repeated_request_has_one_effect(tenant: Tenant) -> None:
    """Pipelines, records and users are made once, however often and in parallel they are asked for with one key."""
    fields = {"name": "People", "schema_definition": {"fields": [text("name")]}}
    made = [await tenant.client.post("/pipelines", json=fields, headers=KEY) for _ in range(2)]
    pipeline = made[0].json()["id"]
    records = await asyncio.gather(
        *(
            tenant.client.post(f"/pipelines/{pipeline}/records", json={"data": {"name": "Ada"}}, headers=KEY)
            for _ in range(10)
        )
    )
    person = {"email": "new@example.com", "name": "New", "roles": ["viewer"]}
    users = [await tenant.client.post("/users", json=person, headers=KEY) for _ in range(2)]
    for answers in (made, records, users):
        assert {(answer.status_code, answer.text) for answer in answers} == {(201, answers[0].text)}
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    found = (await tenant.client.get(f"/pipelines/{pipeline}/records?count=exact")).json()
    assert found["count"] == 1


async def test_another_tenants_key_is_another(stack: Platform, tenant: Tenant, other_tenant: Tenant) -> None:
    """Two tenants that use one key get each their own."""
    pipelines = [await make_pipeline(it.client, "People", text("name")) for it in (tenant, other_tenant)]
    made = [
        await it.client.post(f"/pipelines/{pipeline['id']}/records", json={"data": {"name": "x"}}, headers=KEY)
        for it, pipeline in zip((tenant, other_tenant), pipelines, strict=True)
    ]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json()["id"] != made[1].json()["id"]

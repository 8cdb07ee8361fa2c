"""Programs and machines come in by keys, through the gateway, under the same permissions as people."""

import pytest

from tests.journeys.crm import make_pipeline, make_record, text, told
from tests.support.platform import Platform, Tenant, client
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey


async def test_a_key_works_like_a_token_until_it_ends(stack: Platform, tenant: Tenant) -> None:
    """A viewer's key reads records in all services, writes none, is named as the actor, and ends when it is deleted."""
    pipeline = await make_pipeline(tenant.client, "Deals", text("name"))
    record = await make_record(tenant.client, pipeline, {"name": "First"})
    reader = told(await tenant.client.post("/api-keys", json={"name": "Reader", "roles": ["viewer"]}), 201)
    writer = told(await tenant.client.post("/devices", json={"name": "Sensor 7", "roles": ["member"]}), 201)
    records = f"/pipelines/{pipeline['id']}/records"
    async with client(stack.url, reader["key"]) as api, client(stack.url, writer["key"]) as machine:
        assert told(await api.get(f"{records}/{record['id']}"))["data"]["name"] == "First"
        assert told(await api.get("/users"))["items"] != []
        assert (await api.post(records, json={"data": {"name": "x"}})).status_code == 403
        made = told(await machine.post(records, json={"data": {"name": "Measured"}}), 201)
        assert made["created_by"] == writer["id"]
        assert (await tenant.client.delete(f"/api-keys/{reader['id']}")).status_code == 204

        async def refused() -> bool:
            return (await api.get("/users")).status_code == 401

        await eventually(refused)
        assert (await machine.get("/users")).status_code == 200


async def test_a_key_of_another_tenant_opens_no_host(stack: Platform, tenant: Tenant, other_tenant: Tenant) -> None:
    """At another tenant's host a key is refused, as a token is."""
    key = told(await tenant.client.post("/api-keys", json={"name": "K", "roles": ["viewer"]}), 201)["key"]
    async with client(stack.url, key, **{"X-Tenant": other_tenant.slug}) as api:
        answer = await api.get("/users/me/permissions")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/tenant-mismatch")


@pytest.mark.parametrize("key", ["mlr_", "mlr_" + "A" * 64, "mlr_" + "A" * 300])
async def test_what_is_no_key_is_refused_at_the_door(stack: Platform, key: str) -> None:
    """With a challenge, as a bad token is."""
    async with client(stack.url, key) as api:
        answer = await api.get("/users")
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-api-key")
    assert answer.headers["www-authenticate"].startswith("Bearer")

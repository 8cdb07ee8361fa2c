"""A tenant and a pipeline that want each change of a record to name its version, through the gateway."""

import httpx
import pytest

from tests.journeys.crm import make_pipeline, make_record, text, told
from tests.support.platform import Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey


async def test_a_strict_tenant_refuses_blind_changes(tenant: Tenant) -> None:
    """Once its policy says so a PATCH without `If-Match` is 428, and one with the entity tag that was read is done."""
    pipeline = await make_pipeline(tenant.client, "People", text("name"))
    record = await make_record(tenant.client, pipeline, {"name": "Ada"})
    path = f"/pipelines/{pipeline['id']}/records/{record['id']}"
    policy = {"security": {"require_if_match": True}}
    told(await tenant.client.patch("/organizations/current", json=policy), 200)
    refused: list[httpx.Response] = []

    async def strict() -> bool:
        refused.append(await tenant.client.patch(path, json={"data": {"name": "blind"}}))
        return refused[-1].status_code == 428

    await eventually(strict)
    assert refused[-1].json()["type"] == "/problems/precondition-required"
    etag = (await tenant.client.get(path)).headers["etag"]
    done = await tenant.client.patch(path, json={"data": {"name": "Bea"}}, headers={"If-Match": etag})
    assert told(done, 200)["data"]["name"] == "Bea"


async def test_a_strict_pipeline_is_strict_from_its_first_record_on(tenant: Tenant) -> None:
    """A pipeline that was made with `require_if_match` refuses a DELETE that names no version."""
    body = {"name": "Strict", "require_if_match": True, "schema_definition": {"fields": [text("name")]}}
    pipeline = told(await tenant.client.post("/pipelines", json=body), 201)
    record = await make_record(tenant.client, pipeline, {"name": "Ada"})
    path = f"/pipelines/{pipeline['id']}/records/{record['id']}"
    assert (await tenant.client.delete(path)).status_code == 428
    assert (await tenant.client.delete(path, headers={"If-Match": '"1"'})).status_code == 204

"""The life of a pipeline and its records, from the outside."""

import pytest

from tests.journeys.crm import Json, make_pipeline, make_record, number, pages, text, told
from tests.support.platform import Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey

STAGES = {"name": "stage", "type": "stage", "stages": [{"value": value} for value in ("new", "won", "lost")]}


async def test_a_pipeline_lives_from_creation_to_restoration(tenant: Tenant) -> None:
    """A pipeline is made, grows a field, keeps its records, goes to the trash and comes back."""
    api = tenant.client
    pipeline = await make_pipeline(api, "Deals", text("name", required=True), number("amount"), STAGES)
    path = f"/pipelines/{pipeline['id']}"
    record = await make_record(api, pipeline, {"name": "First", "amount": 10, "stage": "new"})
    assert [field["name"] for field in pipeline["schema_definition"]["fields"]] == ["name", "amount", "stage"]

    told(await api.post(f"{path}/fields", json=text("next_step")), 201)
    grown = told(await api.get(path))
    assert grown["version"] > pipeline["version"]

    changed = {"data": {"next_step": "Call", "stage": "won"}}
    patched = told(await api.patch(f"{path}/records/{record['id']}", json=changed))
    assert patched["version"] > record["version"]
    assert patched["data"] == {"name": "First", "amount": 10, "stage": "won", "next_step": "Call"}

    told(await api.delete(path), 204)
    await _answers(tenant, f"{path}/records", 404)
    told(await api.post(f"{path}/restore"))
    await _answers(tenant, f"{path}/records", 200)
    assert (await _names(tenant, path)) == ["First"]


async def test_a_record_lives_from_creation_to_deletion(tenant: Tenant) -> None:
    """A record is made, read, found by a filter, refused when it would not fit, and gone when deleted."""
    api = tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name", required=True), number("score", indexed=True))
    path = f"/pipelines/{pipeline['id']}/records"
    records = [await make_record(api, pipeline, {"name": f"Person {n}", "score": n}) for n in range(5)]

    found = await pages(api, path, **{"filter[score][gte]": 3, "sort": "-score", "limit": 1})
    assert [record["id"] for record in found] == [records[4]["id"], records[3]["id"]]

    refused = told(await api.post(path, json={"data": {"score": "many", "unknown": 1}}), 422)
    pointers = {fault["pointer"] for fault in refused["errors"]}
    assert pointers == {"/data/name", "/data/score", "/data/unknown"}

    told(await api.delete(f"{path}/{records[0]['id']}"), 204)
    assert (await api.get(f"{path}/{records[0]['id']}")).status_code == 404
    assert len(await pages(api, path)) == 4


async def test_a_stale_patch_is_merged_or_refused(tenant: Tenant) -> None:
    """A PATCH on an old version is merged where nobody changed its fields, and names the conflict else."""
    api = tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"), text("city"))
    record = await make_record(api, pipeline, {"name": "Ada", "city": "London"})
    path = f"/pipelines/{pipeline['id']}/records/{record['id']}"
    old = {"If-Match": f'"{record["version"]}"'}

    told(await api.patch(path, json={"data": {"city": "Paris"}}, headers=old))
    merged = told(await api.patch(path, json={"data": {"name": "Ada L."}}, headers=old))
    assert merged["data"] == {"name": "Ada L.", "city": "Paris"}

    refused = told(await api.patch(path, json={"data": {"city": "Rome"}}, headers=old), 412)
    conflict = {"field": "city", "base": "London", "current": "Paris", "attempted": "Rome"}
    assert refused["conflicts"] == [conflict]


async def _answers(tenant: Tenant, path: str, status: int) -> None:
    # Records hear of a pipeline's end a moment later.
    async def so() -> bool:
        return (await tenant.client.get(path)).status_code == status

    await eventually(so)


async def _names(tenant: Tenant, path: str) -> list[str]:
    records: list[Json] = await pages(tenant.client, f"{path}/records")
    return [record["data"]["name"] for record in records]

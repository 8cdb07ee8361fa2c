"""What was answered holds in the next request, whichever service that is for."""

import pytest

from tests.journeys.crm import Json, colleague, make_pipeline, make_record, number, text, told
from tests.support.platform import Platform, Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey


async def test_what_was_made_is_used_at_once(stack: Platform, tenant: Tenant) -> None:
    """Pipelines, fields, options, types, views, users and roles serve the next request through any service."""
    api = tenant.client
    stage = {"name": "stage", "type": "select", "options": [{"value": "new"}]}
    deals = await make_pipeline(api, "Deals", text("name"), {"name": "owner", "type": "user"}, stage)
    where = f"/pipelines/{deals['id']}"
    first = await make_record(api, deals, {"name": "One", "stage": "new"})

    told(await api.post(f"{where}/fields", json=number("score")), 201)
    await make_record(api, deals, {"name": "Two", "score": 5})
    told(await api.post(f"{where}/fields", json=text("city")), 201)
    assert told(await api.get(f"{where}/records?filter[city]=Bonn&sort=-score"))["items"] == []
    told(await api.post(f"{where}/fields", json=text("street")), 201)
    hook: Json = {"url": "https://example.com/hook", "events": ["*"], "pipeline_id": deals["id"]}
    filtered = await api.post("/webhooks", json={**hook, "filter": {"field": "street", "value": "A"}})
    assert "unknown_field" not in filtered.text  # Other reasons against a made-up address are its own.
    wider = {**stage, "options": [{"value": "new"}, {"value": "won"}]}
    told(await api.patch(f"{where}/fields/stage", json={"options": wider["options"]}))
    told(await api.patch(f"{where}/records/{first['id']}", json={"data": {"stage": "won"}}))

    kind = {"name": "bought", "inverse_name": "bought_by", "cardinality": "many_to_many", "on_delete": "unlink"}
    made = told(await api.post("/relationship-types", json=kind), 201)
    wanted = {"target_pipeline": deals["id"], "target_record": first["id"], "relationship_type": "bought_by"}
    related = await make_record(api, deals, {"name": "Three"}, wanted)
    assert [it["relationship_type"] for it in related["relationships"]] == [made["name"]]

    view = told(await api.post(f"{where}/views", json={"name": "V", "sort": "name", "visibility": "shared"}), 201)
    assert len(told(await api.get(f"{where}/records?view={view['id']}"))["items"]) == 3
    tree = {"field": "name", "value": "Two"}
    told(await api.patch(f"{where}/views/{view['id']}", json={"filter": tree}))
    assert [it["title"] for it in told(await api.get(f"{where}/records?view={view['id']}"))["items"]] == ["Two"]

    role = told(await api.post("/roles", json={"name": "Sellers", "grants": []}), 201)
    async with colleague(stack.url, tenant, role["id"]) as (seller, theirs, _):
        told(await api.patch(f"{where}/records/{first['id']}", json={"data": {"owner": seller["id"]}}))
        assert (await theirs.get(f"{where}/records")).status_code == 403
        grant = {"resource": "records", "actions": ["read"], "pipeline_id": deals["id"]}
        told(await api.patch(f"/roles/{role['id']}", json={"grants": [grant]}))

        async def seen() -> bool:
            return (await theirs.get(f"{where}/records")).status_code == 200

        await eventually(seen)  # A process that was held up meets the request and the word of the role together.

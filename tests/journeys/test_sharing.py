"""What people share with strangers, through the gateway: links, lists and forms."""

import httpx
import pytest

from tests.journeys.crm import make_pipeline, make_record, text, told
from tests.support.platform import Platform, Tenant, client
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey


def stranger(stack: Platform, tenant: Tenant) -> httpx.AsyncClient:
    """Somebody without a token, at the tenant's host."""
    return client(stack.url, **{"X-Tenant": tenant.slug})


async def test_a_stranger_reads_and_changes_by_a_link(stack: Platform, tenant: Tenant, other_tenant: Tenant) -> None:
    """A record is opened and changed by its link, at its tenant's host alone, until the link is ended."""
    people = await make_pipeline(tenant.client, "People", text("name"), text("nick"))
    ann = await make_record(tenant.client, people, {"name": "Ann"})
    links = f"/records/{ann['id']}/share-links"
    link = told(await tenant.client.post(links, json={"editable": True, "fields": ["nick"]}), 201)
    path = link["path"].removeprefix("/api/v1")
    async with stranger(stack, tenant) as anyone, stranger(stack, other_tenant) as elsewhere:
        assert told(await anyone.get(path))["record"]["data"] == {}
        changed = told(await anyone.patch(path, json={"data": {"nick": "A"}}))
        assert changed["record"]["data"] == {"nick": "A"}
        assert (await anyone.patch(path, json={"data": {"name": "x"}})).status_code == 422
        assert (await elsewhere.get(path)).status_code == 404
        assert (await anyone.get(f"/pipelines/{people['id']}/records")).status_code == 401
        line = told(await tenant.client.get(f"/pipelines/{people['id']}/records/{ann['id']}/history"))["items"][0]
        assert line["client"] == {"via": "share", "id": link["id"]}
        told(await tenant.client.delete(f"{links}/{link['id']}"), 204)
        assert (await anyone.get(path)).status_code == 410


async def test_a_view_is_open_by_its_link(stack: Platform, tenant: Tenant) -> None:
    """The list of a view is paged through by whoever has the link."""
    people = await make_pipeline(tenant.client, "People", text("name"))
    for name in "cab":
        await make_record(tenant.client, people, {"name": name})
    views = f"/pipelines/{people['id']}/views"
    view = told(await tenant.client.post(views, json={"name": "By name", "sort": "name", "visibility": "shared"}), 201)
    link = told(await tenant.client.post(f"/pipelines/{people['id']}/view-links", json={"view_id": view["id"]}), 201)
    async with stranger(stack, tenant) as anyone:
        page = told(await anyone.get(link["path"].removeprefix("/api/v1"), params={"limit": 2}))
    assert ([item["title"] for item in page["items"]], page["next_cursor"] is None) == (["a", "b"], False)


async def test_a_stranger_sends_a_form(stack: Platform, tenant: Tenant) -> None:
    """A form is opened, filled in by its schema, and sent, by a stranger; it becomes a record that counts."""
    people = await make_pipeline(tenant.client, "Leads", {"name": "mail", "type": "email", "required": True})
    form = {"name": "Write to us", "fields": ["mail"], "min_seconds": 0}
    made = told(await tenant.client.post(f"/pipelines/{people['id']}/forms", json=form), 201)
    path = made["path"].removeprefix("/api/v1")
    async with stranger(stack, tenant) as anyone:
        blank = told(await anyone.get(path))
        assert (list(blank["schema"]["properties"]), blank["schema"]["required"]) == (["mail"], ["mail"])
        refused = await anyone.post(path, json={"data": {"mail": "no"}, "nonce": blank["nonce"]})
        assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/data/mail"]
        told(await anyone.post(path, json={"data": {"mail": "a@x.example"}, "nonce": blank["nonce"]}), 201)

    async def counted() -> bool:
        found = told(await tenant.client.get("/analytics/dashboard", params={"pipeline_id": people["id"]}))
        return bool(found["pipelines"][0]["count"] == 1 and found["activity"][0]["created"] == 1)

    await eventually(counted)


async def test_a_template_is_worked_with(tenant: Tenant) -> None:
    """A template is applied, and its pipelines take records at once."""
    applied = told(await tenant.client.post("/pipeline-templates/crm/apply"))
    companies, contacts, deals = (it["id"] for it in applied["pipelines"])
    records = tenant.client
    firm = told(await records.post(f"/pipelines/{companies}/records", json={"data": {"name": "Acme"}}), 201)
    ann = {"name": "Ann", "company": firm["id"]}
    told(await records.post(f"/pipelines/{contacts}/records", json={"data": ann}), 201)
    deal = told(await records.post(f"/pipelines/{deals}/records", json={"data": {"name": "Big"}}), 201)
    assert deal["data"]["stage"] == "new"

"""The same permissions on every path: rows by rule, fields by mask, writing by field."""

from typing import Any
from uuid import UUID

import pytest

from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.records.support import Client, Service

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text"},
    {"name": "region", "type": "text"},
    {"name": "salary", "type": "number"},
]
NORTH = {"field": "region", "op": "eq", "value": "north"}


async def people(service: Service) -> tuple[UUID, dict[str, dict[str, Any]]]:
    """One person in the north and one in the south."""
    pipeline = service.pipeline(*FIELDS)
    rows = [("Nora", "north", 10), ("Sam", "south", 20)]
    made = [
        await service.client.create(pipeline, {"name": name, "region": region, "salary": salary})
        for name, region, salary in rows
    ]
    return pipeline, {record["data"]["region"]: record for record in made}


async def names(client: Client, path: str) -> list[str]:
    """The names in a list."""
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return sorted(item["data"]["name"] for item in response.json()["items"])


async def test_a_rule_hides_rows_on_every_path(service: Service) -> None:
    """A record outside the rule is absent from lists, counts and walks, and 404 on each endpoint."""
    pipeline, made = await people(service)
    link = {"target_pipeline": str(pipeline), "target_record": made["south"]["id"], "relationship_type": "knows"}
    north = f"/pipelines/{pipeline}/records/{made['north']['id']}"
    assert (await service.client.post(f"{north}/relationships", link)).status_code == 201
    client = service.principal(Grant("records", ("*",), row_rule=NORTH))
    base = f"/pipelines/{pipeline}/records"
    hidden = f"{base}/{made['south']['id']}"
    assert await names(client, base) == ["Nora"]
    assert (await client.get(f"{base}?count=exact")).json()["count"] == 1
    answers = [
        await client.get(hidden),
        await client.get(f"{hidden}?fields=name"),
        await client.patch(hidden, {"data": {"name": "x"}}),
        await client.put(hidden, {"data": {"name": "x"}}),
        await client.delete(hidden),
        await client.delete(f"{hidden}?permanent=true"),
        await client.post(f"{hidden}/restore"),
        await client.post(f"{hidden}/increment", {"field": "salary"}),
        await client.get(f"{hidden}/history"),
        await client.get(f"{hidden}/relationships"),
        await client.get(f"/records/{made['south']['id']}/traverse"),
        await client.get(f"/records/{made['north']['id']}/shortest-path/{made['south']['id']}"),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert (await client.get(f"{north}/relationships")).json()["items"] == []
    assert (await client.get(f"/records/{made['north']['id']}/traverse")).json()["items"] == []
    batch = await client.batch(pipeline, [{"op": "delete", "id": made["south"]["id"]}])
    assert batch["results"][0]["errors"][0]["code"] == "not_found"


async def test_another_tenants_ids_name_nothing(service: Service) -> None:
    """Each endpoint answers 404 to a principal of another tenant, who may do everything in theirs."""
    pipeline, made = await people(service)
    stranger = Client(service.http, service.issuer.headers(new_id()))
    base = f"/pipelines/{pipeline}/records"
    one = f"{base}/{made['north']['id']}"
    answers = [
        await stranger.get(base),
        await stranger.get(f"{base}/trash"),
        await stranger.post(base, {"data": {}}),
        await stranger.post(f"{base}/batch", {"operations": []}),
        await stranger.put(f"{base}/by/name/x", {"data": {}}),
        await stranger.get(one),
        await stranger.patch(one, {"data": {}}),
        await stranger.put(one, {"data": {}}),
        await stranger.delete(one),
        await stranger.post(f"{one}/restore"),
        await stranger.post(f"{one}/increment", {"field": "salary"}),
        await stranger.get(f"{one}/history"),
        await stranger.get(f"{one}/relationships"),
        await stranger.get(f"/records/{made['north']['id']}/traverse"),
        await stranger.get(f"/records/{made['north']['id']}/shortest-path/{made['south']['id']}"),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)


async def test_a_hidden_field_does_not_exist(service: Service) -> None:
    """A masked field is absent from data, history and filters, and naming it is naming an unknown field."""
    pipeline, made = await people(service)
    seen = frozenset({"name", "region"})
    client = service.principal(Grant("records", ("*",), readable_fields=seen, writable_fields=seen))
    base = f"/pipelines/{pipeline}/records"
    one = f"{base}/{made['north']['id']}"
    assert (await client.get(one)).json()["data"] == {"name": "Nora", "region": "north"}
    assert (await client.get(base)).json()["items"][0]["data"].keys() == seen
    history = (await client.get(f"{one}/history")).json()["items"]
    assert history[0]["changes"].keys() == seen
    for query in ("filter[salary]=10", "sort=salary", "fields=salary", 'filter={"field":"salary","value":1}'):
        response = await client.get(f"{base}?{query}")
        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "unknown_field")
    for response in (
        await client.patch(one, {"data": {"salary": 1}}),
        await client.post(base, {"data": {"salary": 1}}),
        await client.post(f"{one}/increment", {"field": "salary"}),
    ):
        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "unknown_field")
    replaced = await client.put(one, {"data": {"name": "New"}})
    assert replaced.json()["data"] == {"name": "New"}
    assert (await service.client.get(one)).json()["data"] == {"name": "New", "salary": 10}


async def test_masks_may_differ_by_row(service: Service) -> None:
    """With one grant for all names and another for everything in the north, only the north shows and sorts salaries."""
    pipeline, _ = await people(service)
    client = service.principal(
        Grant("records", ("read",), readable_fields=frozenset({"name", "region"})),
        Grant("records", ("read",), row_rule=NORTH),
    )
    base = f"/pipelines/{pipeline}/records"
    items = (await client.get(f"{base}?sort=name")).json()["items"]
    assert [item["data"].get("salary") for item in items] == [10, None]
    assert await names(client, f"{base}?filter[salary][gte]=0") == ["Nora"]
    assert await names(client, f"{base}?sort=-salary") == ["Nora"]


async def test_fields_that_may_not_be_written_are_named(service: Service) -> None:
    """Writing a readable field without the right to is 403 naming it; sending it unchanged is not writing."""
    pipeline, made = await people(service)
    client = service.principal(Grant("records", ("read", "update", "create"), writable_fields=frozenset({"name"})))
    one = f"/pipelines/{pipeline}/records/{made['north']['id']}"
    refused = await client.patch(one, {"data": {"name": "x", "salary": 99}})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (403, "/data/salary")
    assert (await client.post(f"{one}/increment", {"field": "salary"})).status_code == 403
    assert (await client.patch(one, {"data": {"name": "x", "salary": 10}})).status_code == 200
    assert (await client.delete(one)).status_code == 403


async def test_creation_follows_rule_and_presets(service: Service) -> None:
    """Presets fill what was not given, `$user` among them, and a record outside the rule cannot be made."""
    pipeline = service.pipeline(*FIELDS, {"name": "owner", "type": "text"})
    grant = Grant("records", ("*",), row_rule=NORTH, presets={"region": "north", "owner": "$user"})
    client = service.principal(grant)
    made = await client.create(pipeline, {"name": "x"})
    assert made["data"] == {"name": "x", "region": "north", "owner": made["created_by"]}
    outside = await client.post(f"/pipelines/{pipeline}/records", {"data": {"region": "south"}})
    assert outside.status_code == 403
    batch = await client.batch(
        pipeline, [{"op": "create", "data": {"region": "south"}}, {"op": "create", "data": {"region": "north"}}]
    )
    assert [result["status"] for result in batch["results"]] == ["failed", "created"]


@pytest.mark.parametrize("grants", [(Grant("pipelines", ("*",)),), (Grant("records", ("create",)),)])
async def test_without_a_grant_there_is_nothing(service: Service, grants: tuple[Grant, ...]) -> None:
    """Who may not read gets 403 for the list and 404 for a record."""
    pipeline, made = await people(service)
    client = service.principal(*grants)
    assert (await client.get(f"/pipelines/{pipeline}/records")).status_code == 403
    assert (await client.get(f"/pipelines/{pipeline}/records/{made['north']['id']}")).status_code == 404


async def test_a_relation_reaches_only_what_may_be_seen(service: Service) -> None:
    """Filters and expansions through a relation see the target as its own rules and masks show it."""
    company = service.pipeline({"name": "name", "type": "text"}, {"name": "region", "type": "text"})
    field = {"name": "company", "type": "relation", "target_pipeline": str(company), "relationship_type": "at"}
    contact = service.pipeline({"name": "name", "type": "text"}, field)
    north, south = [await service.client.create(company, {"name": r, "region": r}) for r in ("north", "south")]
    await service.client.create(contact, {"name": "a", "company": north["id"]})
    await service.client.create(contact, {"name": "b", "company": south["id"]})
    base = f"/pipelines/{contact}/records"
    assert await names(service.client, f"{base}?filter[company.name]=south") == ["b"]
    client = service.principal(
        Grant("records", ("read",), pipeline_id=contact),
        Grant("records", ("read",), pipeline_id=company, row_rule=NORTH),
    )
    assert await names(client, f"{base}?filter[company.name]=south") == []
    items = (await client.get(f"{base}?sort=name&expand=company")).json()["items"]
    assert [(item["expanded"]["company"] or {}).get("title") for item in items] == ["north", None]
    masked = service.principal(
        Grant("records", ("read",), pipeline_id=contact, readable_fields=frozenset({"company"})),
        Grant("records", ("read",), pipeline_id=company, readable_fields=frozenset({"region"})),
    )
    items = (await masked.get(f"{base}?expand=company")).json()["items"]
    shown = [(item["title"], list(item["data"]), item["expanded"]["company"]["data"]) for item in items]
    assert shown == [("", ["company"], {"region": "north"}), ("", ["company"], {"region": "south"})]
    blind = service.principal(Grant("records", ("read",), pipeline_id=contact))
    assert (await blind.get(f"{base}?filter[company.name]=south")).status_code == 422
    assert (await blind.get(f"{base}?expand=company")).status_code == 422

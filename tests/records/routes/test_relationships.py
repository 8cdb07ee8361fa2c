"""Relationships: made with records, by relation fields and by themselves; walked; taken away."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from libs.common.permissions import Grant
from tests.records.support import Service


def company_field(company: UUID, **options: Any) -> dict[str, Any]:
    """A relation to a company."""
    kind = {"name": "company", "type": "relation", "target_pipeline": str(company), "relationship_type": "employer"}
    return {**kind, **options}


async def test_a_contact_is_made_with_its_company(service: Service) -> None:
    """A relationship in the body is made with the record, its type on first use, and both ends tell of it."""
    company, contact = (service.pipeline({"name": "name", "type": "text"}) for _ in range(2))
    acme = await service.client.create(company, {"name": "Acme"})
    wanted = {"target_pipeline": str(company), "target_record": acme["id"], "relationship_type": "works_at"}
    made = await service.client.create(contact, {"name": "Ada"}, relationships=[wanted])
    (relationship,) = made["relationships"]
    assert relationship["relationship_type"] == "works_at"
    assert relationship["target"] == {"id": acme["id"], "pipeline_id": str(company)}
    for pipeline, record in ((contact, made), (company, acme)):
        path = f"/pipelines/{pipeline}/records/{record['id']}/relationships"
        assert (await service.client.get(path)).json()["items"] == [relationship]
    path = f"/pipelines/{contact}/records/{made['id']}/relationships"
    assert (await service.client.delete(f"{path}/{relationship['id']}")).status_code == 204
    assert (await service.client.get(path)).json()["items"] == []
    again = await service.client.post(path, wanted)
    assert again.status_code == 201
    twice = await service.client.post(path, wanted)
    assert (twice.status_code, twice.json()["type"]) == (409, "/problems/duplicate-relationship")


async def test_a_relationship_has_attributes_of_its_own(service: Service) -> None:
    """What is said of a relationship is shown wherever it is, from both ends, follows a merge, and is bounded."""
    pipeline = service.pipeline({"name": "name", "type": "text"})
    ada, acme = [await service.client.create(pipeline, {"name": name}) for name in ("Ada", "Acme")]
    said = {"since": "2024-02-29", "role": {"title": "Größte ✓", "share": 0.5}}
    link = {"target_pipeline": str(pipeline), "target_record": acme["id"], "relationship_type": "works_in"}
    twin = await service.client.create(pipeline, {"name": "Ada"}, relationships=[{**link, "attributes": said}])
    assert twin["relationships"][0]["attributes"] == said
    merged = await service.client.post("/records/merge", {"target": ada["id"], "sources": [twin["id"]]})
    assert merged.status_code == 200, merged.text
    for record in (ada, acme):
        found = await service.client.get(f"/pipelines/{pipeline}/records/{record['id']}/relationships")
        assert [item["attributes"] for item in found.json()["items"]] == [said]
    way = (await service.client.get(f"/records/{ada['id']}/shortest-path/{acme['id']}")).json()
    assert [edge["attributes"] for edge in way["relationships"]] == [said]
    path = f"/pipelines/{pipeline}/records/{acme['id']}/relationships"
    edge = f"{path}/{found.json()['items'][0]['id']}"
    patched = await service.client.patch(edge, {"attributes": {"since": None, "role": {"share": 1}, "x": [1]}})
    assert patched.json()["attributes"] == {"role": {"title": "Größte ✓", "share": 1}, "x": [1]}
    assert (await service.client.patch(edge, {"attributes": {"x": "y" * 20_000}})).status_code == 422
    assert (await service.client.get(path)).json()["items"] == [patched.json()]
    reader = service.principal(Grant("records", ("read",)))
    assert (await reader.patch(edge, {"attributes": None})).status_code == 403
    assert "attributes" not in (await service.client.patch(edge, {"attributes": None})).json()
    plain = await service.client.post(path, {**link, "target_record": ada["id"], "relationship_type": "knows"})
    assert (plain.status_code, "attributes" in plain.json()) == (201, False)
    large = {**link, "target_record": ada["id"], "relationship_type": "likes", "attributes": {"x": "y" * 20_000}}
    refused = await service.client.post(path, large)
    assert [(it["pointer"], it["code"]) for it in refused.json()["errors"]] == [("/attributes", "too_large")]
    deep: Any = 1
    for _ in range(600):
        deep = [deep]
    answers = [await service.client.post(path, {**large, "attributes": {"x": it}}) for it in (deep, 2**70)]
    answers.append(await service.client.patch(edge, {"attributes": {"x": deep}}))
    faults = [[(it["pointer"], it["code"]) for it in answer.json()["errors"]] for answer in answers]
    assert faults == [[("/attributes", code)] for code in ("too_deep", "out_of_range", "too_deep")]


async def test_relationships_of_one_record_are_bounded(service: Service) -> None:
    """As many as a relation field holds are looked at, each fault at its place; more are refused as a list too long."""
    company, contact = (service.pipeline({"name": "name", "type": "text"}) for _ in range(2))
    acme = await service.client.create(company, {"name": "Acme"})
    wanted = {"target_pipeline": str(company), "target_record": acme["id"], "relationship_type": "works_at"}
    nobody = {**wanted, "target_record": str(company)}
    body = {"data": {"name": "Ada"}, "relationships": [wanted, *[nobody] * 998, wanted]}
    missing = await service.client.post(f"/pipelines/{contact}/records", body)
    assert missing.status_code == 422
    pointers = [fault["pointer"] for fault in missing.json()["errors"]]
    assert pointers == [f"/relationships/{place}/target_record" for place in range(1, 999)]
    for many in ([wanted] * 1001, [1] * 100_000):
        refused = await service.client.post(f"/pipelines/{contact}/records", {**body, "relationships": many})
        assert (refused.status_code, [it["pointer"] for it in refused.json()["errors"]]) == (422, ["/relationships"])
        operations = {"operations": [{"op": "create", **body, "relationships": many}]}
        refused = await service.client.post(f"/pipelines/{contact}/records/batch", operations)
        assert [it["pointer"] for it in refused.json()["errors"]] == ["/operations/0/relationships"]


async def test_a_type_that_was_changed_just_now_is_as_it_is_now(service: Service) -> None:
    """A type that joins other pipelines by now is asked for before a relationship is refused."""
    company, contact = (service.pipeline({"name": "name", "type": "text"}) for _ in range(2))
    acme = await service.client.create(company, {"name": "Acme"})
    wanted = {"target_pipeline": str(company), "target_record": acme["id"], "relationship_type": "owns"}
    service.definitions.type("owns", source_pipeline=company)
    body = {"data": {}, "relationships": [wanted]}
    assert (await service.client.post(f"/pipelines/{contact}/records", body)).status_code == 422
    known = service.definitions.types["owns"]
    service.definitions.types["owns"] = msgspec.structs.replace(known, version=2, source_pipeline=None)
    assert (await service.client.post(f"/pipelines/{contact}/records", body)).status_code == 201


async def test_a_relation_to_what_does_not_exist_is_refused(service: Service) -> None:
    """A relation field takes only records that exist, are live, and are in its target pipeline."""
    company = service.pipeline({"name": "name", "type": "text"})
    contact = service.pipeline(company_field(company))
    other = await service.client.create(contact, {})
    gone = await service.client.create(company, {})
    await service.client.delete(f"/pipelines/{company}/records/{gone['id']}")
    for target in (other["id"], gone["id"], str(UUID(int=7))):
        response = await service.client.post(f"/pipelines/{contact}/records", {"data": {"company": target}})
        faults = [(fault["pointer"], fault["code"]) for fault in response.json()["errors"]]
        assert (response.status_code, faults) == (422, [("/data/company", "not_found")])
    path, link = f"/pipelines/{contact}/records/{other['id']}/relationships", {"relationship_type": "works_in"}
    nowhere = {**link, "target_pipeline": str(UUID(int=7)), "target_record": other["id"]}
    answer = await service.client.post(path, nowhere)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/target_pipeline"]


async def test_a_relation_field_and_its_relationship_are_one(service: Service) -> None:
    """Setting the field makes the relationship, changing it moves it, deleting the relationship clears the field."""
    company = service.pipeline({"name": "name", "type": "text"})
    contact = service.pipeline(company_field(company))
    first, second = [await service.client.create(company, {"name": name}) for name in ("One", "Two")]
    made = await service.client.create(contact, {"company": first["id"]})
    path = f"/pipelines/{contact}/records/{made['id']}"
    (edge,) = (await service.client.get(f"{path}/relationships")).json()["items"]
    assert (edge["field"], edge["target"]["id"]) == ("company", first["id"])
    assert (await service.client.patch(path, {"data": {"company": second["id"]}})).status_code == 200
    (moved,) = (await service.client.get(f"{path}/relationships")).json()["items"]
    assert moved["target"]["id"] == second["id"]
    assert (await service.client.delete(f"{path}/relationships/{moved['id']}")).status_code == 204
    cleared = (await service.client.get(path)).json()
    assert (cleared["data"], cleared["version"]) == ({}, 3)


async def test_what_a_hidden_field_relates_is_neither_shown_nor_walked(service: Service) -> None:
    """A relationship that a field made is for those who may see the field, from either end; others are for all."""
    company = service.pipeline({"name": "name", "type": "text"})
    contact = service.pipeline({"name": "name", "type": "text"}, company_field(company))
    acme, other = [await service.client.create(company, {"name": name}) for name in ("Acme", "Other")]
    knows = {"target_pipeline": str(company), "target_record": other["id"], "relationship_type": "knows"}
    ada = await service.client.create(contact, {"name": "Ada", "company": acme["id"]}, relationships=[knows])
    only_name, own = frozenset({"name"}), {"pipeline_id": contact}
    readers = {
        "all": service.principal(Grant("records", ("read",))),
        "masked": service.principal(Grant("records", ("read",), readable_fields=only_name)),
        "masked there": service.principal(
            Grant("records", ("read",), pipeline_id=company),
            Grant("records", ("read",), **own, readable_fields=only_name),
        ),
        "masked elsewhere": service.principal(
            Grant("records", ("read",), pipeline_id=company, readable_fields=only_name),
            Grant("records", ("read",), **own),
        ),
    }
    for name, reader in readers.items():
        sees = name in ("all", "masked elsewhere")
        expected = {acme["id"], other["id"]} if sees else {other["id"]}
        edges = (await reader.get(f"/pipelines/{contact}/records/{ada['id']}/relationships")).json()["items"]
        assert {edge["target"]["id"] for edge in edges} == expected, name
        edges = (await reader.get(f"/pipelines/{company}/records/{acme['id']}/relationships")).json()["items"]
        assert len(edges) == sees, name
        walked = (await reader.get(f"/records/{ada['id']}/traverse?max_depth=1")).json()["items"]
        assert {record["id"] for record in walked} == expected, name
        back = (await reader.get(f"/records/{acme['id']}/traverse?max_depth=2&direction=both")).json()["items"]
        assert {record["id"] for record in back} == ({ada["id"], other["id"]} if sees else set()), name
        way = (await reader.get(f"/records/{acme['id']}/shortest-path/{other['id']}")).json()
        assert way["length"] == (2 if sees else None), name


async def test_one_to_one_holds_under_concurrency(service: Service) -> None:
    """Of ten contacts who take the same company one to one at once, one gets it."""
    company = service.pipeline({"name": "name", "type": "text"})
    contact = service.pipeline(company_field(company, cardinality="one_to_one"))
    acme = await service.client.create(company, {"name": "Acme"})
    path, body = f"/pipelines/{contact}/records", {"data": {"company": acme["id"]}}
    responses = await asyncio.gather(*(service.client.post(path, body) for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [201] + [422] * 9
    refused = next(response for response in responses if response.status_code == 422)
    assert refused.json()["errors"][0]["code"] == "cardinality"


async def test_a_record_in_the_trash_leaves_its_place(service: Service) -> None:
    """While a contact is in the trash another may take its company one to one; then it cannot be restored."""
    company = service.pipeline({"name": "name", "type": "text"})
    contact = service.pipeline(company_field(company, cardinality="one_to_one"))
    acme = await service.client.create(company, {"name": "Acme"})
    path, body = f"/pipelines/{contact}/records", {"data": {"company": acme["id"]}}
    first = (await service.client.post(path, body)).json()["id"]
    assert (await service.client.delete(f"{path}/{first}")).status_code == 204
    assert (await service.client.post(f"{path}/{first}/restore")).status_code == 200
    assert (await service.client.post(path, body)).status_code == 422
    await service.client.delete(f"{path}/{first}")
    assert (await service.client.post(path, body)).status_code == 201
    refused = await service.client.post(f"{path}/{first}/restore")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/cardinality")


async def test_deleting_follows_the_rule_of_the_type(service: Service) -> None:
    """What `restrict` holds stays, what `cascade` ties goes along, and what is purged is unlinked from fields."""
    company = service.pipeline({"name": "name", "type": "text"})
    pipelines = {}
    for rule in ("restrict", "cascade", "unlink"):
        known = service.definitions.type(f"by_{rule}", on_delete=rule)
        await service.definitions.announce(service.tenant_id, "pipelines.relationship_type.created", known.id, known)
        pipelines[rule] = service.pipeline(company_field(company, relationship_type=f"by_{rule}"))
    targets = {rule: await service.client.create(company, {"name": rule}) for rule in pipelines}
    holders = {
        rule: await service.client.create(pipeline, {"company": targets[rule]["id"]})
        for rule, pipeline in pipelines.items()
    }
    paths = {rule: f"/pipelines/{pipelines[rule]}/records/{holders[rule]['id']}" for rule in pipelines}
    gone = {rule: f"/pipelines/{company}/records/{targets[rule]['id']}" for rule in pipelines}

    async def restricted() -> bool:
        return (await service.client.delete(gone["restrict"])).status_code == 409

    assert await restricted()
    assert (await service.client.delete(gone["cascade"])).status_code == 204
    assert (await service.client.get(paths["cascade"])).status_code == 404
    assert (await service.client.delete(f"{gone['unlink']}?permanent=true")).status_code == 204
    unlinked = (await service.client.get(paths["unlink"])).json()
    assert (unlinked["data"], unlinked["version"]) == ({}, 2)


async def test_two_hops_lead_to_all_employees(service: Service) -> None:
    """From a company over ten departments to five hundred employees, either way of its arrows."""
    company, department, employee = (service.pipeline({"name": "name", "type": "text"}) for _ in range(3))
    for name in ("belongs_to", "works_in"):
        service.definitions.type(name, inverse_name=f"has_{name}")
    acme = await service.client.create(company, {"name": "Acme"})
    link = {"target_pipeline": str(company), "target_record": acme["id"], "relationship_type": "belongs_to"}
    departments = await service.client.batch(
        department, [{"op": "create", "data": {"name": f"d{i}"}, "relationships": [link]} for i in range(10)]
    )
    ids = [result["id"] for result in departments["results"]]
    to = [{"target_pipeline": str(department), "target_record": i, "relationship_type": "works_in"} for i in ids]
    made = await service.client.batch(
        employee, [{"op": "create", "data": {"name": f"e{i}"}, "relationships": [to[i % 10]]} for i in range(500)]
    )
    assert made["created"] == 500
    for path in ("belongs_to,works_in", "~belongs_to,~works_in", "has_belongs_to,has_works_in"):
        found = await walk(service, f"/records/{acme['id']}/traverse?path={path}&count=exact&limit=200")
        assert len(found) == 500
        assert {item["pipeline_id"] for item in found} == {str(employee)}
    few = await service.client.get(f"/pipelines/{company}/records/{acme['id']}/relationships?limit=3&count=exact")
    assert (len(few.json()["items"]), few.json()["count"], "change-seq" in few.headers) == (3, 10, True)
    forward = await service.client.get(f"/records/{acme['id']}/traverse?path=belongs_to,works_in&direction=out")
    other = await service.client.get(f"/records/{acme['id']}/traverse?path=belongs_to,works_in&direction=out&also=1")
    assert other.json() == forward.json()
    assert forward.json()["items"] == []
    everything = await walk(service, f"/records/{acme['id']}/traverse?max_depth=2&limit=200")
    assert len(everything) == 510
    way = (await service.client.get(f"/records/{acme['id']}/shortest-path/{found[0]['id']}")).json()
    assert (way["length"], [r["id"] for r in way["records"]][::2]) == (2, [acme["id"], found[0]["id"]])


async def walk(service: Service, path: str) -> list[dict[str, Any]]:
    """All pages of a traversal."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        response = await service.client.get(path + cursor)
        assert response.status_code == 200, response.text
        page = response.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def test_no_way_is_told_as_such(service: Service) -> None:
    """Between records that nothing joins the shortest path has no length; to one that does not exist it is 404."""
    pipeline = service.pipeline({"name": "name", "type": "text"})
    one, other = [await service.client.create(pipeline, {}) for _ in range(2)]
    way = await service.client.get(f"/records/{one['id']}/shortest-path/{other['id']}")
    assert way.json() == {"length": None, "records": [], "relationships": []}
    assert (await service.client.get(f"/records/{one['id']}/shortest-path/{UUID(int=9)}")).status_code == 404
    assert (await service.client.get(f"/records/{one['id']}/traverse?max_depth=7")).status_code == 422


async def test_a_record_that_goes_away_meanwhile_leaves_the_others_as_they_are(service: Service) -> None:
    """Who is come to but is gone when the bodies are read is left out, and the depths are those of the others."""
    place = service.pipeline({"name": "name", "type": "text"})
    third = await service.client.create(place, {"name": "third"})
    for name in ("second", "first"):
        wanted = {"target_pipeline": str(place), "target_record": third["id"], "relationship_type": "knows"}
        third = await service.client.create(place, {"name": name}, relationships=[wanted])
    gone = """
    insert into records.edges (tenant_id, id, type, source_id, source_pipeline, target_id, target_pipeline, field,
        one_target, one_source, created_at, created_by)
    values ($1, uuidv7(), 'knows', $2, $3, $4, $3, '', false, false, now(), $1)
    """
    admin = await asyncpg.connect(service.database.admin_dsn)
    await admin.execute(gone, service.tenant_id, UUID(third["id"]), place, UUID(int=1))
    await admin.close()
    found = await walk(service, f"/records/{third['id']}/traverse?max_depth=2&direction=out")
    assert {item["data"]["name"]: item["depth"] for item in found} == {"second": 1, "third": 2}

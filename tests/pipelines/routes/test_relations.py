import asyncio
from typing import Any

from libs.common.bus import Bus
from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.pipelines.conftest import NAME, Json, Service, announced, faults

AT = "/schema_definition/fields/0"


def company(target: Json, **more: Any) -> Json:
    """A relation to a company."""
    relation = {"name": "company", "type": "relation", "relationship_type": "belongs_to"}
    return {**relation, "target_pipeline": target["id"], **more}


async def types(service: Service) -> dict[str, Json]:
    """The types of relationships by name."""
    items = (await service.client.get("/relationship-types")).json()["items"]
    return {item["name"]: item for item in items}


async def test_a_relation_makes_its_type(service: Service, bus: Bus) -> None:
    """The type is made with the field, from this pipeline to the target, and told before the pipeline."""
    companies = await service.create("Companies")
    people = await service.create("People", company(companies, display_field="name"))
    made = (await types(service))["belongs_to"]
    assert (made["source_pipeline"], made["target_pipeline"]) == (people["id"], companies["id"])
    assert (made["cardinality"], made["on_delete"]) == ("many_to_one", "unlink")
    events = await announced(bus, 3)
    assert [e.type for e in events[1:]] == ["pipelines.relationship_type.created", "pipelines.pipeline.created"]
    assert events[1].data == {
        "id": made["id"],
        "name": "belongs_to",
        "inverse_name": "inverse_of_belongs_to",
        "source_pipeline": people["id"],
        "target_pipeline": companies["id"],
        "cardinality": "many_to_one",
        "on_delete": "unlink",
        "version": 1,
        "deleted": False,
    }


async def test_a_type_made_on_use_grows_with_its_use(service: Service) -> None:
    """A second pipeline may belong to companies too: the type's source becomes any."""
    companies = await service.create("Companies")
    await service.create("People", company(companies))
    await service.create("Deals", company(companies))
    grown = (await types(service))["belongs_to"]
    assert (grown["source_pipeline"], grown["target_pipeline"], grown["version"]) == (None, companies["id"], 2)


async def test_a_plan_is_refused_where_it_could_not_be_applied(service: Service) -> None:
    """A relation to nowhere is a fault of the plan, and a type that does not join makes no difference to the types."""
    companies, people = await service.create("Companies"), await service.create("People")
    kind = {"name": "employs", "source_pipeline": companies["id"], "target_pipeline": people["id"]}
    assert (await service.client.post("/relationship-types", json=kind)).status_code == 201
    wanted = [
        {**company({"id": str(new_id())}), "name": "nowhere", "relationship_type": "leads_nowhere"},
        company(companies, relationship_type="employs"),
        company(companies, name="other"),
    ]
    answer = await service.client.post(f"/pipelines/{people['id']}/schema/plan", json={"fields": wanted})
    assert faults(answer.json()) == {
        ("/fields/0/target_pipeline", "unknown_pipeline"),
        ("/fields/1/relationship_type", "mismatch"),
    }
    assert set(await types(service)) == {"employs"}


async def test_a_type_made_by_hand_holds(service: Service) -> None:
    """A relation from another pipeline than the type's source is a fault at the field."""
    companies, people = await service.create("Companies"), await service.create("People")
    kind = {"name": "belongs_to", "source_pipeline": people["id"], "target_pipeline": companies["id"]}
    assert (await service.client.post("/relationship-types", json=kind)).status_code == 201
    body = {"name": "Deals", "schema_definition": {"fields": [company(companies)]}}
    answer = await service.client.post("/pipelines", json=body)
    assert (answer.status_code, faults(answer.json())) == (422, {(f"{AT}/relationship_type", "mismatch")})
    answer = await service.client.post(f"/pipelines/{people['id']}/fields", json=company(companies))
    assert answer.status_code == 201


async def test_a_relation_fits_the_cardinality_of_its_type(service: Service) -> None:
    """Another cardinality than the type's is a fault; many_to_many carries all."""
    companies = await service.create("Companies")
    await service.create("People", company(companies))
    body = {"name": "Deals", "schema_definition": {"fields": [company(companies, cardinality="many_to_many")]}}
    answer = await service.client.post("/pipelines", json=body)
    assert faults(answer.json()) == {(f"{AT}/cardinality", "mismatch")}
    await service.client.post("/relationship-types", json={"name": "open", "cardinality": "many_to_many"})
    await service.create("Deals", company(companies, relationship_type="open", cardinality="one_to_one"))


async def test_the_faults_of_relations_are_told_with_the_others(service: Service) -> None:
    """A target that is not there, and a display field that it does not have, stand beside other faults."""
    companies = await service.create("Companies")
    fields = [
        company({"id": str(new_id())}),
        company(companies, name="second", relationship_type="second", display_field="nope"),
        company(companies, name="third", relationship_type="second"),
        {"name": "id", "type": "text"},
    ]
    answer = await service.client.post("/pipelines", json={"name": "x", "schema_definition": {"fields": fields}})
    at = "/schema_definition/fields"
    assert faults(answer.json()) == {
        (f"{at}/0/target_pipeline", "unknown_pipeline"),
        (f"{at}/1/display_field", "unknown_name"),
        (f"{at}/2/relationship_type", "duplicate"),
        (f"{at}/3/name", "reserved"),
    }
    assert await types(service) == {}


async def test_a_target_that_is_not_seen_is_not_there(service: Service) -> None:
    """A relation to a pipeline that the caller may not read, or of another tenant, is the same fault."""
    companies, people = await service.create("Companies"), await service.create("People")
    editor = service.user(
        Grant("pipelines", ("read", "update"), pipeline_id=people["id"]), Grant("relationship_types", ("manage",))
    )
    stranger = service.user(tenant=new_id())
    body = {"name": "x", "schema_definition": {"fields": [company(companies)]}}
    answers = [
        await service.client.post(f"/pipelines/{people['id']}/fields", json=company(companies), headers=editor),
        await service.client.post("/pipelines", json=body, headers=stranger),
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert [answer.json()["errors"][0]["code"] for answer in answers] == ["unknown_pipeline"] * 2


async def test_who_may_not_manage_types_makes_none(service: Service) -> None:
    """Without `manage` on types, a relation of a new type is refused and writes nothing; one of a known type is not."""
    companies = await service.create("Companies")
    maker = service.user(Grant("pipelines", ("read", "create")))
    body = {"name": "People", "schema_definition": {"fields": [company(companies)]}}
    assert (await service.client.post("/pipelines", json=body, headers=maker)).status_code == 403
    assert len((await service.client.get("/pipelines")).json()["items"]) == 1
    await service.client.post("/relationship-types", json={"name": "belongs_to"})
    assert (await service.client.post("/pipelines", json=body, headers=maker)).status_code == 201


async def test_a_pipeline_may_relate_to_itself(service: Service) -> None:
    """A relation to its own pipeline may display one of its own fields."""
    made = await service.create("Parts", NAME)
    relation = company(made, name="part_of", relationship_type="part_of", display_field="name")
    answer = await service.client.post(f"/pipelines/{made['id']}/fields", json=relation)
    assert answer.status_code == 201, answer.text


async def test_a_relation_whose_target_was_deleted_holds_nothing_up(service: Service) -> None:
    """With its target in the trash, a pipeline can still be renamed."""
    companies = await service.create("Companies")
    people = await service.create("People", company(companies))
    await service.client.delete(f"/pipelines/{companies['id']}")
    assert (await service.patch(f"/pipelines/{people['id']}", {"name": "Folk"}))["name"] == "Folk"


async def test_types_made_at_once_are_one(service: Service) -> None:
    """Ten pipelines that are the first to use a type share it."""
    companies = await service.create("Companies")
    await asyncio.gather(*(service.create(f"p{i}", company(companies)) for i in range(10)))
    assert list(await types(service)) == ["belongs_to"]

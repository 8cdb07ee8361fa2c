from typing import Any

import pytest

from libs.common.bus import Bus
from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.pipelines.conftest import Json, Service, announced, faults


async def make(service: Service, name: str = "works_in", **more: Any) -> Json:
    """A type that was made."""
    answer = await service.client.post("/relationship-types", json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    document: Json = answer.json()
    return document


async def test_a_type_is_made_read_and_listed(service: Service) -> None:
    """What was posted comes back with its defaults, an ETag and a place."""
    made = await make(service, inverse_name="employs")
    assert (made["cardinality"], made["on_delete"], made["version"]) == ("many_to_many", "unlink", 1)
    answer = await service.client.get(f"/relationship-types/{made['id']}")
    assert (answer.headers["etag"], answer.json()) == ('"1"', made)
    page = (await service.client.get("/relationship-types?count=exact")).json()
    assert page == {"items": [made], "next_cursor": None, "count": 1}


async def test_a_type_is_changed_and_announced(service: Service, bus: Bus) -> None:
    """A patch raises the version; the last event says that the type is gone."""
    made = await make(service)
    path = f"/relationship-types/{made['id']}"
    changed = await service.patch(path, {"name": "works_for", "on_delete": "cascade"}, **{"If-Match": '"1"'})
    assert (changed["name"], changed["on_delete"], changed["version"]) == ("works_for", "cascade", 2)
    assert (await service.client.patch(path, json={}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await service.client.delete(path)).status_code == 204
    assert (await service.client.get(path)).status_code == 404
    told = [(e.type.rpartition(".")[2], e.data["version"], e.data["deleted"]) for e in await announced(bus, 3)]
    assert told == [("created", 1, False), ("updated", 2, False), ("deleted", 3, True)]


async def test_a_type_does_not_become_narrower(service: Service) -> None:
    """Relationships that are there might not fit a new end or a smaller cardinality, so both are conflicts."""
    made, pipeline = await make(service), await service.create()
    body = {"source_pipeline": pipeline["id"], "cardinality": "one_to_one"}
    refused = await service.patch(f"/relationship-types/{made['id']}", body, 409)
    assert faults(refused) == {("/source_pipeline", "narrower"), ("/cardinality", "narrower")}


async def test_a_type_in_use_keeps_its_name_and_stays(service: Service) -> None:
    """While a relation field names it, a type is neither renamed nor deleted."""
    target = await service.create("Companies")
    relation = {"name": "c", "type": "relation", "target_pipeline": target["id"], "relationship_type": "belongs_to"}
    await service.create("People", relation)
    made = (await service.client.get("/relationship-types")).json()["items"][0]
    path = f"/relationship-types/{made['id']}"
    assert faults(await service.patch(path, {"name": "other"}, 409)) == {("/name", "in_use")}
    answer = await service.client.delete(path)
    assert (answer.status_code, answer.json()["detail"]) == (409, "Relation fields use it: people.c")


async def test_names_are_unique(service: Service) -> None:
    """A second type of a name is a conflict."""
    await make(service)
    answer = await service.client.post("/relationship-types", json={"name": "works_in"})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/name-taken")


async def test_faults_of_a_type_are_told_at_once(service: Service) -> None:
    """Names that are none and pipelines that are not there stand in one answer."""
    body = {"name": "Works In", "inverse_name": "1", "target_pipeline": str(new_id())}
    answer = await service.client.post("/relationship-types", json=body)
    assert faults(answer.json()) == {
        ("/name", "invalid_name"),
        ("/inverse_name", "invalid_name"),
        ("/target_pipeline", "unknown_pipeline"),
    }


async def test_types_are_read_and_managed_by_right(service: Service) -> None:
    """Reading needs `read` and writing `manage` on types; another tenant sees none."""
    made = await make(service)
    path = f"/relationship-types/{made['id']}"
    reader = service.user(Grant("relationship_types", ("read",)))
    nobody = service.user(Grant("pipelines", ("*",)))
    assert (await service.client.get(path, headers=reader)).status_code == 200
    assert (await service.client.get(path, headers=nobody)).status_code == 403
    calls = [
        service.client.post("/relationship-types", json={"name": "x"}, headers=reader),
        service.client.patch(path, json={}, headers=reader),
        service.client.delete(path, headers=reader),
    ]
    assert [(await call).status_code for call in calls] == [403] * 3
    stranger = service.user(tenant=new_id())
    assert (await service.client.get(path, headers=stranger)).status_code == 404
    assert (await service.client.get("/relationship-types", headers=stranger)).json()["items"] == []


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("type_id", ["x", "00000000-0000-0000-0000-000000000000"])
async def test_what_is_no_id_names_no_type(service: Service, method: str, type_id: str) -> None:
    """An id that is none, or of nothing, is 404."""
    body = {} if method == "PATCH" else None
    answer = await service.client.request(method, f"/relationship-types/{type_id}", json=body)
    assert answer.status_code == 404

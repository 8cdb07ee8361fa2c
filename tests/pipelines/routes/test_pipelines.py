import asyncio

import asyncpg
import pytest

from libs.common.bus import Bus
from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.pipelines.conftest import NAME, Json, Service, announced, faults


async def test_a_pipeline_is_made_and_read(service: Service) -> None:
    """What was posted comes back completed, with a version, a slug and a title of the first text field."""
    fields = [{"name": "amount", "type": "number"}, {"name": "first_name", "type": "text"}]
    made = await service.create("Große Deals", *fields)
    assert (made["slug"], made["version"], made["title_template"]) == ("grosse-deals", 1, "{first_name}")
    assert made["schema_definition"]["fields"][1]["label"] == "First name"
    answer = await service.client.get(f"/pipelines/{made['id']}")
    assert answer.headers["etag"] == '"1"'
    assert answer.json() == made


async def test_all_faults_are_told_at_once(service: Service) -> None:
    """Faults of shape and of meaning, of the body and of its fields, stand in one answer."""
    fields = [
        {"name": "Bad Name", "type": "text"},
        {"name": "stage", "type": "select", "options": [{"value": "a"}, {"value": "a"}, {"value": 7}]},
        {"name": "x", "type": "no-such"},
        {"name": "x", "type": "number", "min": 2, "max": 1, "unknown": True},
        "text",
    ]
    body = {"slug": "Bad Slug", "title_template": "{missing}", "extra": 1, "schema_definition": {"fields": fields}}
    answer = await service.client.post("/pipelines", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    at = "/schema_definition/fields"
    assert faults(answer.json()) == {
        ("/name", "required"),
        ("/extra", "unknown_field"),
        ("/slug", "invalid_slug"),
        ("/title_template", "unknown_name"),
        (f"{at}/0/name", "invalid_name"),
        (f"{at}/1/options/2/value", "wrong_type"),
        (f"{at}/2/type", "unknown_type"),
        (f"{at}/3/name", "duplicate"),
        (f"{at}/3/unknown", "unknown_field"),
        (f"{at}/4", "wrong_type"),
    }


async def test_derived_slugs_do_not_collide(service: Service) -> None:
    """Many pipelines of one name, made at once, get slugs of their own; a given slug that is taken is a conflict."""
    made = await asyncio.gather(*(service.create("Deals") for _ in range(5)))
    assert sorted(p["slug"] for p in made) == ["deals", "deals-2", "deals-3", "deals-4", "deals-5"]
    body = {"name": "x", "slug": "deals", "schema_definition": {"fields": []}}
    answer = await service.client.post("/pipelines", json=body)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/slug-taken")


async def test_lists_page_in_order(service: Service) -> None:
    """Pages follow one another without gap or repetition, and count when asked."""
    made = [(await service.create(f"p{i}"))["id"] for i in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2, "count": "exact", **({"cursor": cursor} if cursor else {})}
        page = (await service.client.get("/pipelines", params=query)).json()
        assert page["count"] == 5
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=%21", "count=some"])
async def test_wrong_parameters_are_faults(service: Service, query: str) -> None:
    """A limit out of bounds, a foreign cursor and an unknown count are 422, not clamped."""
    answer = await service.client.get(f"/pipelines?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_a_patch_changes_what_it_names(service: Service) -> None:
    """Null takes away, absent stays, and the version and the ETag go up by one."""
    made = await service.create(description="old", icon="star")
    answer = await service.client.patch(f"/pipelines/{made['id']}", json={"name": "New", "description": None})
    changed = answer.json()
    assert answer.headers["etag"] == '"2"'
    assert (changed["name"], changed["description"], changed["icon"]) == ("New", None, "star")
    assert changed == await service.read(made)


async def test_a_patch_without_effect_is_no_version(service: Service) -> None:
    """Patching what is so already changes neither version nor time."""
    made = await service.create()
    assert await service.patch(f"/pipelines/{made['id']}", {"name": made["name"]}) == made


async def test_a_stale_patch_is_refused(service: Service) -> None:
    """If-Match with a version that is gone is 412 and says which is there; the present one is taken."""
    made = await service.create()
    path = f"/pipelines/{made['id']}"
    await service.patch(path, {"name": "second"}, **{"If-Match": '"1"'})
    stale = await service.patch(path, {"name": "third"}, 412, **{"If-Match": '"1"'})
    assert stale["version"] == 2
    assert (await service.client.delete(path, headers={"If-Match": '"1"'})).status_code == 412
    assert (await service.read(made))["name"] == "second"
    assert (await service.client.patch(path, json={}, headers={"If-Match": "2"})).status_code == 400


async def test_of_two_conditional_patches_one_wins(service: Service) -> None:
    """Ten writers who all saw version 1 make exactly one version 2."""
    path = f"/pipelines/{(await service.create())['id']}"
    answers = await asyncio.gather(
        *(service.client.patch(path, json={"name": f"n{i}"}, headers={"If-Match": '"1"'}) for i in range(10))
    )
    assert sorted(a.status_code for a in answers) == [200] + [412] * 9


async def test_an_unchanged_pipeline_is_not_sent_again(service: Service) -> None:
    """If-None-Match with the present version is 304 without a body."""
    path = f"/pipelines/{(await service.create())['id']}"
    answer = await service.client.get(path, headers={"If-None-Match": 'W/"1"'})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"')
    assert (await service.client.get(path, headers={"If-None-Match": '"7"'})).status_code == 200


async def test_a_new_list_of_fields_replaces_the_old(service: Service) -> None:
    """Fields may be added, left out, reordered and relabelled in one patch."""
    made = await service.create("Deals", NAME, {"name": "gone", "type": "date"})
    fields = [{"name": "amount", "type": "number"}, {**NAME, "label": "Title"}]
    changed = await service.patch(f"/pipelines/{made['id']}", {"schema_definition": {"fields": fields}})
    got = changed["schema_definition"]["fields"]
    assert [(f["name"], f["label"]) for f in got] == [("amount", "Amount"), ("name", "Title")]


async def test_a_field_keeps_its_type(service: Service) -> None:
    """Another type, another kind of number and new uniqueness are a conflict that names each, and change nothing."""
    made = await service.create("Deals", NAME, {"name": "amount", "type": "number"})
    fields = [{**NAME, "unique": True}, {"name": "amount", "type": "number", "kind": "integer"}]
    path = f"/pipelines/{made['id']}"
    refused = await service.patch(path, {"schema_definition": {"fields": fields}}, 409)
    at = "/schema_definition/fields"
    assert faults(refused) == {(f"{at}/0/unique", "fixed"), (f"{at}/1/kind", "fixed")}
    other = [NAME, {"name": "amount", "type": "text"}]
    refused = await service.patch(path, {"schema_definition": {"fields": other}}, 409)
    assert faults(refused) == {(f"{at}/1/type", "type_change")}
    assert await service.read(made) == made


async def test_the_trash_keeps_what_was_deleted(service: Service) -> None:
    """A deleted pipeline is nowhere but in the trash, cannot be changed, and comes back whole."""
    made = await service.create()
    path = f"/pipelines/{made['id']}"
    assert (await service.client.delete(path)).status_code == 204
    assert (await service.client.get(path)).status_code == 404
    assert (await service.client.patch(path, json={"name": "x"})).status_code == 404
    assert (await service.client.get("/pipelines")).json()["items"] == []
    trash = (await service.client.get("/pipelines/trash")).json()["items"]
    assert [(p["id"], p["deleted_at"] is not None) for p in trash] == [(made["id"], True)]
    restored = (await service.client.post(f"{path}/restore")).json()
    assert (restored["version"], restored["deleted_at"]) == (3, None)
    assert restored["schema_definition"] == made["schema_definition"]


async def test_a_slug_that_was_taken_meanwhile_keeps_a_pipeline_in_the_trash(service: Service) -> None:
    """Restoring is a conflict while another pipeline has the slug."""
    made = await service.create()
    await service.client.delete(f"/pipelines/{made['id']}")
    await service.create()
    answer = await service.client.post(f"/pipelines/{made['id']}/restore")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/slug-taken")


async def test_a_clone_has_the_same_fields(service: Service) -> None:
    """The copy has its own id, slug and first version; a relation to itself is one of the copy to itself."""
    made = await service.create("Parts", NAME)
    relation = {"name": "part_of", "type": "relation", "target_pipeline": made["id"], "relationship_type": "part_of"}
    await service.client.post(f"/pipelines/{made['id']}/fields", json=relation)
    answer = await service.client.post(f"/pipelines/{made['id']}/clone")
    assert answer.status_code == 201, answer.text
    copy = answer.json()
    assert (copy["name"], copy["slug"], copy["version"]) == ("Parts (copy)", "parts-copy", 1)
    assert copy["schema_definition"]["fields"][1]["target_pipeline"] == copy["id"]


async def test_every_version_is_kept(service: Service, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Each version stands in pipeline_versions with its fields and who made it."""
    made = await service.create()
    path = f"/pipelines/{made['id']}"
    await service.client.post(f"{path}/fields", json={"name": "amount", "type": "number"})
    await service.client.delete(path)
    rows = await admin.fetch(
        "select version, jsonb_array_length(definition -> 'fields') as fields, definition ->> 'deleted' as deleted"
        " from pipelines.pipeline_versions where pipeline_id = $1 order by version",
        made["id"],
    )
    assert [tuple(row) for row in rows] == [(1, 1, "false"), (2, 2, "false"), (3, 2, "true")]


async def test_each_change_is_announced(service: Service, bus: Bus) -> None:
    """Events carry the full definition, its version, and whether it is in the trash, in the order of the changes."""
    made = await service.create()
    path = f"/pipelines/{made['id']}"
    await service.patch(path, {"name": "New"})
    await service.client.delete(path)
    await service.client.post(f"{path}/restore")
    events = await announced(bus, 4)
    verbs = ["created", "updated", "deleted", "restored"]
    assert [e.type for e in events] == [f"pipelines.pipeline.{verb}" for verb in verbs]
    assert [(e.data["version"], e.data["deleted"]) for e in events] == [(1, False), (2, False), (3, True), (4, False)]
    assert events[0].tenant_id == service.tenant
    assert events[0].data == {
        "id": made["id"],
        "slug": "deals",
        "name": "Deals",
        "version": 1,
        "title_template": "{name}",
        "deleted": False,
        "fields": made["schema_definition"]["fields"],
        "rules": [],
        "require_if_match": False,
        "claims": {},
        "pending": [],
        "by": {"id": made["created_by"], "kind": "user", "name": "Test", "roles": events[0].data["by"]["roles"]},
    }


@pytest.mark.parametrize("pipeline_id", ["x", "00000000-0000-0000-0000-000000000000", "%20", "1"])
async def test_what_is_no_id_names_nothing(service: Service, pipeline_id: str) -> None:
    """An id that is none, or of nothing, is 404 on every path."""
    path = f"/pipelines/{pipeline_id}"
    calls = [
        ("GET", path, None),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/restore", None),
        ("POST", f"{path}/clone", {}),
        ("GET", f"{path}/fields", None),
        ("POST", f"{path}/fields", NAME),
        ("PATCH", f"{path}/fields/name", {}),
        ("DELETE", f"{path}/fields/name", None),
    ]
    for method, address, body in calls:
        answer = await service.client.request(method, address, json=body)
        assert (method, address, answer.status_code) == (method, address, 404)


async def test_another_tenants_pipeline_does_not_exist(service: Service) -> None:
    """With all rights in another tenant, every path of a pipeline is 404, and lists are empty."""
    made = await service.create()
    path = f"/pipelines/{made['id']}"
    stranger = service.user(tenant=new_id())
    calls: list[tuple[str, str, Json | None]] = [
        ("GET", path, None),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/restore", None),
        ("POST", f"{path}/clone", {}),
        ("GET", f"{path}/fields", None),
        ("POST", f"{path}/fields", {"name": "y", "type": "text"}),
        ("PATCH", f"{path}/fields/name", {"label": "x"}),
        ("DELETE", f"{path}/fields/name", None),
    ]
    for method, address, body in calls:
        answer = await service.client.request(method, address, json=body, headers=stranger)
        assert (method, address, answer.status_code) == (method, address, 404)
    assert (await service.client.get("/pipelines", headers=stranger)).json()["items"] == []
    assert await service.read(made) == made


async def test_a_grant_for_one_pipeline_shows_one(service: Service) -> None:
    """Who may read one pipeline sees it alone in the list; it may not be changed, and others are not there."""
    one, other = await service.create("one"), await service.create("other")
    reader = service.user(Grant("pipelines", ("read",), pipeline_id=one["id"]))
    page = (await service.client.get("/pipelines?count=exact", headers=reader)).json()
    assert ([p["id"] for p in page["items"]], page["count"]) == ([one["id"]], 1)
    for pipeline, expected in ((one, 403), (other, 404)):
        path = f"/pipelines/{pipeline['id']}"
        calls = [
            service.client.patch(path, json={"name": "x"}, headers=reader),
            service.client.delete(path, headers=reader),
            service.client.post(f"{path}/fields", json={"name": "y", "type": "text"}, headers=reader),
            service.client.post(f"{path}/clone", json={}, headers=reader),
        ]
        assert [(await call).status_code for call in calls] == [expected] * 4


async def test_nobody_makes_a_pipeline_without_the_right(service: Service) -> None:
    """Creating needs `create` on all pipelines; no token is 401."""
    body = {"name": "x", "schema_definition": {"fields": []}}
    reader = service.user(Grant("pipelines", ("read", "update", "delete")))
    assert (await service.client.post("/pipelines", json=body, headers=reader)).status_code == 403
    anonymous = {"Authorization": ""}
    assert (await service.client.post("/pipelines", json=body, headers=anonymous)).status_code == 401


async def test_there_are_at_most_so_many_pipelines(
    service: Service, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The 501st pipeline is a conflict."""
    made = await service.create()
    await admin.execute(
        "insert into pipelines.pipelines select tenant_id, gen_random_uuid(), 1, slug || '-' || n, name, null, null,"
        " null, null, fields, created_at, created_by, updated_at, updated_by from pipelines.pipelines,"
        " generate_series(2, 500) n where id = $1",
        made["id"],
    )
    answer = await service.client.post("/pipelines", json={"name": "x", "schema_definition": {"fields": []}})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-many")


async def test_a_pipeline_gives_the_json_schema_of_its_data(service: Service) -> None:
    """The schema follows the fields under the pipeline's ETag; who may not see the pipeline does not see it."""
    made = await service.create("Deals", {"name": "price", "type": "currency", "currency": "EUR", "required": True})
    path = f"/pipelines/{made['id']}/json-schema"
    answer = await service.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
    schema = answer.json()
    assert (schema["title"], schema["required"], list(schema["properties"])) == ("Deals", ["price"], ["price"])
    unchanged = await service.client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert unchanged.status_code == 304
    assert (await service.client.get(path, headers=service.user(tenant=new_id()))).status_code == 404

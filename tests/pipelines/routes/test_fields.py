import asyncio

import pytest

from libs.common.bus import Bus
from tests.pipelines.conftest import NAME, Service, announced, faults

STAGES = {
    "name": "stage",
    "type": "stage",
    "stages": [{"value": "new"}, {"value": "won", "required_fields": ["amount"]}],
    "transitions": {"new": ["won"]},
}


async def test_a_field_is_added_at_the_end(service: Service, bus: Bus) -> None:
    """The answer is the field completed, under the pipeline's next ETag, and the event has it."""
    made = await service.create()
    path = f"/pipelines/{made['id']}/fields"
    answer = await service.client.post(path, json={"name": "due_on", "type": "date"})
    assert (answer.status_code, answer.headers["etag"]) == (201, '"2"')
    listed = (await service.client.get(path)).json()
    assert [field["name"] for field in listed["items"]] == ["name", "due_on"]
    assert listed["items"][1] == answer.json()
    assert (await announced(bus, 2))[1].data["fields"] == listed["items"]


async def test_a_field_has_a_name_of_its_own(service: Service) -> None:
    """A name that is there already is a fault, told with the other faults of the field."""
    made = await service.create()
    body = {"name": "name", "type": "select", "options": [{"value": "a"}, {"value": "a"}]}
    answer = await service.client.post(f"/pipelines/{made['id']}/fields", json=body)
    assert answer.status_code == 422
    assert faults(answer.json()) == {("/name", "duplicate"), ("/options/1/value", "duplicate")}


async def test_fields_added_at_once_are_all_there(service: Service) -> None:
    """Twenty concurrent additions lose none."""
    made = await service.create()
    path = f"/pipelines/{made['id']}/fields"
    added = [service.client.post(path, json={"name": f"f{i}", "type": "text"}) for i in range(20)]
    assert {answer.status_code for answer in await asyncio.gather(*added)} == {201}
    now = await service.read(made)
    assert (len(now["schema_definition"]["fields"]), now["version"]) == (21, 21)


async def test_labels_and_options_may_change(service: Service) -> None:
    """A merge patch relabels a field and gives it other options; the rest stays."""
    field = {"name": "size", "type": "select", "options": [{"value": "s"}], "help": "How large"}
    made = await service.create("Shirts", field)
    body = {"label": "Size of it", "options": [{"value": "s", "label": "Small"}, {"value": "m", "color": "#2f80ed"}]}
    changed = await service.patch(f"/pipelines/{made['id']}/fields/size", body)
    assert (changed["label"], changed["help"]) == ("Size of it", "How large")
    assert [option["value"] for option in changed["options"]] == ["s", "m"]


async def test_null_takes_an_attribute_away(service: Service) -> None:
    """As RFC 7396 has it: a label that is taken away follows the name again."""
    made = await service.create("x", {**NAME, "label": "Called", "max_length": 5, "default": "abc"})
    path = f"/pipelines/{made['id']}/fields/name"
    changed = await service.patch(path, {"label": None, "max_length": None, "default": None})
    assert (changed["label"], changed["max_length"], changed["default"]) == ("Name", None, None)


@pytest.mark.parametrize(
    ("patch", "fault"),
    [
        ({"type": "number"}, ("/type", "type_change")),
        ({"name": "other"}, ("/name", "name_change")),
        ({"unique": True}, ("/unique", "fixed")),
    ],
)
async def test_what_records_rely_on_stays(service: Service, patch: dict[str, object], fault: tuple[str, str]) -> None:
    """Another type, another name and new uniqueness are conflicts."""
    made = await service.create()
    refused = await service.patch(f"/pipelines/{made['id']}/fields/name", patch, 409)
    assert faults(refused) == {fault}
    assert await service.read(made) == made


async def test_a_patched_field_is_checked_as_a_whole(service: Service) -> None:
    """An attribute that does not fit the others is a fault, though the others were not named."""
    made = await service.create("x", {**NAME, "default": "too long"})
    refused = await service.patch(f"/pipelines/{made['id']}/fields/name", {"max_length": 3, "pattern": "("}, 422)
    assert faults(refused) == {("/pattern", "invalid_pattern")}
    refused = await service.patch(f"/pipelines/{made['id']}/fields/name", {"max_length": 3}, 422)
    assert faults(refused) == {("/default", "invalid_default")}


async def test_a_field_is_removed(service: Service) -> None:
    """A removed field is gone, and the title that followed the fields follows the next."""
    made = await service.create("x", NAME, {"name": "nick", "type": "text"})
    path = f"/pipelines/{made['id']}/fields/name"
    assert (await service.client.delete(path)).status_code == 204
    assert (await service.client.delete(path)).status_code == 404
    assert (await service.read(made))["title_template"] == "{nick}"


async def test_a_field_that_is_named_elsewhere_stays(service: Service) -> None:
    """The title and the stages hold a field that they name."""
    fields = [NAME, {"name": "amount", "type": "number"}, STAGES]
    made = await service.create("x", *fields, title_template="{name}!")
    for name, at in (
        ("name", ("/title_template", "unknown_name")),
        ("amount", ("/schema_definition/fields/1/stages/1/required_fields/0", "unknown_name")),
    ):
        answer = await service.client.delete(f"/pipelines/{made['id']}/fields/{name}")
        assert (answer.status_code, faults(answer.json())) == (409, {at})


async def test_the_pipelines_version_guards_its_fields(service: Service) -> None:
    """If-Match with an older version of the pipeline is 412 on all three verbs."""
    made = await service.create()
    path = f"/pipelines/{made['id']}/fields"
    stale = {"If-Match": '"7"'}
    answers = [
        await service.client.post(path, json={"name": "a", "type": "text"}, headers=stale),
        await service.client.patch(f"{path}/name", json={"label": "x"}, headers=stale),
        await service.client.delete(f"{path}/name", headers=stale),
    ]
    assert [answer.status_code for answer in answers] == [412] * 3


async def test_field_types_describe_their_options(service: Service) -> None:
    """Every type is there, with a JSON Schema of what it has besides the common attributes."""
    items = (await service.client.get("/field-types")).json()["items"]
    types = {item["type"]: item for item in items}
    assert set(types) == {
        "text", "textarea", "number", "boolean", "date", "datetime", "email", "url", "select", "multiselect", "tags",
        "stage", "relation", "currency", "auto_number", "duration", "phone", "address", "rating", "user", "file",
        "json", "button", "formula", "lookup", "rollup",
    }  # fmt: skip
    assert set(types["text"]["options"]["properties"]) == {"min_length", "max_length", "pattern", "case"}
    assert types["relation"]["options"]["required"] == ["target_pipeline", "relationship_type"]
    assert types["stage"]["options"]["properties"]["stages"]["items"] == {"$ref": "#/$defs/Stage"}
    assert "required_fields" in types["stage"]["options"]["$defs"]["Stage"]["properties"]


NO_FIELDS = ["[]", "1", '"x"', "null", '{"type": []}', '{"type": {}}', "{}"]


async def test_a_body_that_is_no_field_is_a_fault(service: Service) -> None:
    """Whatever JSON is sent, the answer is 422 with a fault."""
    made = await service.create()
    headers = {"Content-Type": "application/json"}
    for body in NO_FIELDS:
        answer = await service.client.post(f"/pipelines/{made['id']}/fields", content=body, headers=headers)
        assert answer.status_code == 422, body
        assert answer.json()["errors"], body

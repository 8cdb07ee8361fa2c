"""Records as they were, back to that, and who changed them from where."""

from typing import Any
from uuid import UUID

from libs.common.permissions import Grant
from tests.records.support import Client, Service
from tests.support.waiting import eventually

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text", "required": True},
    {"name": "email", "type": "email", "unique": True},
    {"name": "score", "type": "number", "min": 0},
    {"name": "facts", "type": "json"},
]
ACTIONS = frozenset({"read", "create", "update", "delete"})


async def lived(client: Client, pipeline: UUID) -> tuple[str, list[dict[str, Any]]]:
    """The path of a record with four versions, and each of them as it was answered."""
    made = await client.create(pipeline, {"name": "Ada", "email": "a@x.example", "facts": {"a": 1, "b": None}})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    versions = [{name: value for name, value in made.items() if name != "relationships"}]
    for data in ({"score": 3}, {"name": "Ada L.", "facts": {"c": 2}}, {"score": None, "email": "b@x.example"}):
        versions.append((await client.patch(path, {"data": data})).json())  # noqa: PERF401 - one by one
    return path, versions


async def test_a_record_is_shown_as_it_was(service: Service) -> None:
    """Every version is answered again as it was answered then, by its number and by its time."""
    path, versions = await lived(service.client, service.pipeline(*FIELDS))
    for version in versions:
        then = (await service.client.get(path, params={"as_of": version["version"]})).json()
        assert then == version
        then = (await service.client.get(path, params={"as_of": version["updated_at"]})).json()
        assert (then["version"] >= version["version"], then["updated_at"]) == (True, version["updated_at"])
    few = await service.client.get(f"{path}/history", params={"limit": 1, "count": "exact"})
    assert (len(few.json()["items"]), few.json()["count"], "change-seq" in few.headers) == (1, len(versions), True)
    of_one = await service.client.get(f"{path}/history", params={"field": "score", "count": "estimated"})
    assert of_one.json()["count"] == len(of_one.json()["items"]) == 2
    one = await service.client.get(path, params={"as_of": "2", "fields": "score"})
    assert one.json()["data"] == {"score": 3}


async def test_before_it_existed_there_is_nothing(service: Service) -> None:
    """Before its first version, after its last, while it was in the trash, and now that it is there: 404."""
    path, _ = await lived(service.client, service.pipeline(*FIELDS))
    await service.client.delete(path)
    await service.client.post(f"{path}/restore")
    for moment, status in (("2001-01-01T00:00:00Z", 404), ("99", 404), ("0", 404), ("5", 404), ("4", 200)):
        assert (await service.client.get(path, params={"as_of": moment})).status_code == status, moment
    for moment in ("yesterday", "-1", "", "9" * 30):
        assert (await service.client.get(path, params={"as_of": moment})).status_code == 422, moment
    assert (await service.client.get(path, params={"as_of": "1", "expand": "x"})).status_code == 422
    await service.client.delete(path)
    assert (await service.client.get(path, params={"as_of": "1"})).status_code == 404


async def test_rules_judge_both_what_is_and_what_was(service: Service) -> None:
    """Who may see a record while its score is high sees neither its low past nor, while it is low, its high one."""
    pipeline = service.pipeline(*FIELDS)
    path, _ = await lived(service.client, pipeline)
    await service.client.patch(path, {"data": {"score": 9}})
    rule = {"field": "score", "op": "gte", "value": 5}
    named = Grant("records", ACTIONS, pipeline, row_rule=rule, readable_fields=frozenset({"name", "score"}))
    reader = service.principal(named)
    assert (await reader.get(path, params={"as_of": "5"})).json()["data"] == {"name": "Ada L.", "score": 9}
    assert (await reader.get(path, params={"as_of": "2"})).status_code == 404
    await service.client.patch(path, {"data": {"score": 1}})
    assert (await reader.get(path, params={"as_of": "5"})).status_code == 404


async def test_a_removed_field_is_gone_from_the_past_too(service: Service) -> None:
    """A field that the definition has no more is in no version."""
    pipeline = service.pipeline(*FIELDS)
    path, _ = await lived(service.client, pipeline)
    service.pipeline(*[field for field in FIELDS if field["name"] != "facts"], id=pipeline)
    definition = service.definitions.pipelines[service.tenant_id, pipeline]
    await service.definitions.announce(service.tenant_id, "pipelines.pipeline.updated", pipeline, definition)

    async def gone() -> bool:
        return "facts" not in (await service.client.get(path, params={"as_of": "1"})).json()["data"]

    await eventually(gone)


async def test_reverting_is_a_change_like_any_other(service: Service) -> None:
    """The fields are what they were, objects whole; the version is a new one, and history tells of it."""
    path, versions = await lived(service.client, service.pipeline(*FIELDS))
    back = await service.client.post(f"{path}/revert", {"version": 1})
    assert (back.status_code, back.json()["version"]) == (200, 5)
    assert back.json()["data"] == versions[0]["data"]
    assert back.headers["etag"] == '"5"'
    again = await service.client.post(f"{path}/revert", {"version": 1})
    assert again.json()["version"] == 5
    lines = (await service.client.get(f"{path}/history")).json()["items"]
    assert set(lines[0]["changes"]) == {"name", "email", "facts"}
    stale = await service.client.post(f"{path}/revert", {"version": 2}, headers={"if-match": '"3"'})
    assert stale.status_code == 412
    assert (await service.client.post(f"{path}/revert", {"version": 77})).status_code == 404
    assert (await service.client.post(f"{path}/revert", {"version": 0})).status_code == 422


async def test_what_is_in_the_way_of_reverting_is_named(service: Service) -> None:
    """A value that is taken, does not fit any more, or may not be written names its field, and nothing changes."""
    pipeline = service.pipeline(*FIELDS)
    path, versions = await lived(service.client, pipeline)
    await service.client.create(pipeline, {"name": "Eve", "email": "a@x.example"})
    taken = await service.client.post(f"{path}/revert", {"version": 1})
    assert taken.status_code == 422
    assert [(fault["pointer"], fault["code"]) for fault in taken.json()["errors"]] == [("/data/email", "not_unique")]
    writer = service.principal(Grant("records", ACTIONS, pipeline, writable_fields=frozenset({"score"})))
    refused = await writer.post(f"{path}/revert", {"version": 3})
    assert refused.status_code == 403
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/data/email"]
    assert (await service.client.get(path)).json() == versions[-1]


async def test_history_tells_who_from_which_client(service: Service) -> None:
    """A line names the client's way and what it calls itself; lines are found by actor and by field."""
    pipeline = service.pipeline(*FIELDS)
    path, _ = await lived(service.client, pipeline)
    other = service.principal(Grant("records", ACTIONS))
    await other.patch(path, {"data": {"score": 8}}, headers={"user-agent": "Pocket/1.0"})
    lines = (await service.client.get(f"{path}/history")).json()["items"]
    assert lines[0]["client"] == {"via": "http", "agent": "Pocket/1.0"}
    found = await service.client.get(f"{path}/history", params={"actor": lines[0]["actor"]["id"]})
    assert [line["version"] for line in found.json()["items"]] == [5]
    found = await service.client.get(f"{path}/history", params={"field": "score"})
    assert [line["version"] for line in found.json()["items"]] == [5, 4, 2]
    unseen = service.principal(Grant("records", ACTIONS, readable_fields=frozenset({"name"})))
    assert (await unseen.get(f"{path}/history", params={"field": "score"})).status_code == 422

"""Versions, entity tags and the merging of patches."""

from typing import Any
from uuid import UUID

from tests.records.support import Service

FIELDS: list[dict[str, Any]] = [{"name": name, "type": "text"} for name in ("a", "b", "c")]


async def start(service: Service) -> tuple[UUID, str]:
    """A record with three fields, and its path."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"a": "a0", "b": "b0", "c": "c0"})
    return pipeline, f"/pipelines/{pipeline}/records/{made['id']}"


async def test_a_stale_patch_of_other_fields_is_merged(service: Service) -> None:
    """A patch made to an old version goes through when nobody changed its fields since."""
    _, path = await start(service)
    await service.client.patch(path, {"data": {"a": "a1"}})
    merged = await service.client.patch(path, {"data": {"b": "b1"}}, headers={"If-Match": '"1"'})
    assert (merged.status_code, merged.json()["version"]) == (200, 3)
    assert merged.json()["data"] == {"a": "a1", "b": "b1", "c": "c0"}


async def test_a_colliding_patch_is_told_what_collides(service: Service) -> None:
    """A patch of a field that someone changed since gets 412 with base, current and attempted value."""
    _, path = await start(service)
    await service.client.patch(path, {"data": {"a": "a1", "c": "c1"}})
    await service.client.patch(path, {"data": {"a": "a2"}})
    refused = await service.client.patch(path, {"data": {"a": "mine", "b": "b1"}}, headers={"If-Match": '"1"'})
    assert refused.status_code == 412
    conflict = {"field": "a", "base": "a0", "current": "a2", "attempted": "mine"}
    assert refused.json()["conflicts"] == [conflict]
    assert refused.json()["version"] == 3
    assert (await service.client.get(path)).json()["data"]["b"] == "b0"


async def test_the_same_change_twice_does_not_collide(service: Service) -> None:
    """Two clients who set a field to the same value both succeed, and the version grows once."""
    _, path = await start(service)
    await service.client.patch(path, {"data": {"a": "same"}}, headers={"If-Match": '"1"'})
    second = await service.client.patch(path, {"data": {"a": "same"}}, headers={"If-Match": '"1"'})
    assert (second.status_code, second.json()["version"]) == (200, 2)


async def test_put_and_delete_need_the_version_they_name(service: Service) -> None:
    """A stale PUT or DELETE gets 412, a present one goes through, and PUT clears what it does not give."""
    _, path = await start(service)
    await service.client.patch(path, {"data": {"a": "a1"}})
    assert (await service.client.put(path, {"data": {"a": "x"}}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await service.client.delete(path, headers={"If-Match": '"1"'})).status_code == 412
    replaced = await service.client.put(path, {"data": {"a": "x"}}, headers={"If-Match": '"2"'})
    assert (replaced.status_code, replaced.json()["data"]) == (200, {"a": "x"})
    assert (await service.client.delete(path, headers={"If-Match": 'W/"3"'})).status_code == 204


async def test_what_the_client_has_is_not_sent_again(service: Service) -> None:
    """`If-None-Match` with the present version gets 304 without a body, with an older one the record."""
    _, path = await start(service)
    same = await service.client.get(path, headers={"If-None-Match": '"1"'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", '"1"')
    projected = await service.client.get(f"{path}?fields=a", headers={"If-None-Match": '"1"'})
    assert projected.status_code == 304
    expanded = await service.client.get(f"{path}?expand=", headers={"If-None-Match": '"1"'})
    assert expanded.status_code == 200
    await service.client.patch(path, {"data": {"a": "a1"}})
    assert (await service.client.get(path, headers={"If-None-Match": '"1"'})).status_code == 200


async def test_null_takes_a_value_away(service: Service) -> None:
    """A merge patch with null removes the field from the data."""
    _, path = await start(service)
    assert (await service.client.patch(path, {"data": {"a": None}})).json()["data"] == {"b": "b0", "c": "c0"}


async def test_a_json_patch_is_taken_step_by_step(service: Service) -> None:
    """RFC 6902: all steps or none, with the failing step named, and merged by version as merge patches are."""
    pipeline = service.pipeline({"name": "a", "type": "text"}, {"name": "tags", "type": "tags"})
    made = await service.client.create(pipeline, {"a": "a0", "tags": ["x"]})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    headers = {"Content-Type": "application/json-patch+json", "If-Match": '"1"'}
    steps = [
        {"op": "test", "path": "/data/a", "value": "a0"},
        {"op": "add", "path": "/data/tags/-", "value": "y"},
        {"op": "move", "from": "/data/tags/0", "path": "/data/tags/-"},
        {"op": "remove", "path": "/data/a"},
    ]
    changed = await service.client.patch(path, steps, headers=headers)
    assert (changed.status_code, changed.json()["data"]) == (200, {"tags": ["y", "x"]})
    failing = [{"op": "add", "path": "/data/a", "value": "a1"}, {"op": "test", "path": "/data/a", "value": "no"}]
    refused = await service.client.patch(path, failing, headers={**headers, "If-Match": '"2"'})
    fault = refused.json()["errors"][0]
    assert (refused.status_code, fault["pointer"], fault["code"]) == (422, "/1/path", "test_failed")
    for bad in ("/title", "/data/tags/9", "", "/data/b/c"):
        response = await service.client.patch(path, [{"op": "remove", "path": bad}])
        assert response.status_code == 422

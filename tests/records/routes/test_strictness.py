"""Tenants and pipelines that want changes to name the version they are made to."""

from typing import Any
from uuid import UUID

import httpx
import msgspec

from libs.common.permissions import Grant
from services.records.domain.definitions import Definition
from tests.records.support import Client, Service
from tests.support.waiting import eventually

FIELDS: list[dict[str, Any]] = [{"name": "name", "type": "text", "unique": True}, {"name": "note", "type": "text"}]
REFUSED = (428, "/problems/precondition-required")


class Tenant(msgspec.Struct):
    """What auth tells of a tenant."""

    id: UUID
    require_if_match: bool


async def want(service: Service, *, strict: bool) -> None:
    """The tenant changes its mind, and the service hears of it."""
    told = Tenant(service.tenant_id, strict)
    await service.definitions.announce(service.tenant_id, "auth.tenant.updated", service.tenant_id, told)
    pipeline = service.pipeline(*FIELDS)
    nobody = f"/pipelines/{pipeline}/records/01890000-0000-7000-8000-000000000000"

    async def heard() -> bool:
        return ((await service.client.delete(nobody)).status_code == 428) is strict

    await eventually(heard)


def kind(response: httpx.Response) -> tuple[int, str]:
    """Status and type of a refusal."""
    return response.status_code, response.json().get("type", "")


async def changes(client: Client, path: str, name: str, **headers: str) -> list[httpx.Response]:
    """Each change of a record by PATCH and PUT."""
    by = f"{path.rpartition('/')[0]}/by/name/{name}"
    return [
        await client.patch(path, {"data": {"note": "a"}}, headers=headers),
        await client.patch(path, [{"op": "add", "path": "/data/note", "value": "b"}], headers=headers),
        await client.put(path, {"data": {"name": name}}, headers=headers),
        await client.put(by, {"data": {"note": "c"}}, headers=headers),
    ]


async def test_a_strict_pipeline_wants_a_version(service: Service) -> None:
    """Without `If-Match` PATCH, PUT and DELETE are 428 and change nothing; with it they are done, with `*` too."""
    pipeline = service.pipeline(*FIELDS, require_if_match=True)
    made = await service.client.create(pipeline, {"name": "Ada"})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    refused = await changes(service.client, path, "Ada")
    refused += [await service.client.delete(path), await service.client.delete(f"{path}?permanent=true")]
    assert [kind(response) for response in refused] == [REFUSED] * 6
    read = await service.client.get(path)
    assert read.json()["version"] == 1
    done = await changes(service.client, path, "Ada", **{"If-Match": "*"})
    assert [response.status_code for response in done] == [200] * 4
    etag = done[-1].headers["etag"]
    assert (await service.client.delete(path, headers={"If-Match": '"1"'})).status_code == 412
    assert (await service.client.delete(path, headers={"If-Match": etag})).status_code == 204


async def test_an_upsert_by_a_version_changes_only_what_is_there(service: Service) -> None:
    """A PUT by a unique value makes no record where it names a version, and none of an old version collides unseen."""
    pipeline = service.pipeline(*FIELDS)
    by = f"/pipelines/{pipeline}/records/by/name/Ada"
    assert (await service.client.put(by, {"data": {}}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await service.client.put(by, {"data": {"note": "a"}})).status_code == 201
    first = await service.client.put(by, {"data": {"note": "b"}}, headers={"If-Match": '"1"'})
    second = await service.client.put(by, {"data": {"note": "c"}}, headers={"If-Match": '"1"'})
    assert (first.status_code, second.status_code) == (200, 412)
    assert [conflict["field"] for conflict in second.json()["conflicts"]] == ["note"]


async def test_a_strict_tenant_wants_versions_everywhere(service: Service) -> None:
    """When the tenant asks for it every pipeline does; when it takes that back none does; another tenant never did."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"name": "Ada"})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    other_tenant = UUID(int=7)
    other = Client(service.http, service.issuer.headers(other_tenant))
    theirs = service.definitions.pipeline(other_tenant, *FIELDS)
    record = await other.create(theirs, {"name": "Bob"})
    await want(service, strict=True)
    assert {kind(response) for response in await changes(service.client, path, "Ada")} == {REFUSED}
    assert (await service.client.post(f"{path}/increment", {"field": "note", "by": 1})).status_code == 422
    done = await changes(other, f"/pipelines/{theirs}/records/{record['id']}", "Bob")
    assert [response.status_code for response in done] == [200] * 4
    await want(service, strict=False)
    done = await changes(service.client, path, "Ada")
    assert [response.status_code for response in done] == [200] * 4


async def test_a_pipeline_becomes_strict(service: Service) -> None:
    """A definition that changes takes effect as soon as it is heard of."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"name": "Ada"})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    service.pipeline(*FIELDS, id=pipeline, require_if_match=True)
    known: Definition = service.definitions.pipelines[service.tenant_id, pipeline]
    await service.definitions.announce(service.tenant_id, "pipelines.pipeline.updated", pipeline, known)

    async def refused() -> bool:
        return (await service.client.patch(path, {"data": {"note": "x"}})).status_code == 428

    await eventually(refused)


async def test_who_sees_nothing_is_told_nothing(service: Service) -> None:
    """A pipeline's wish is not told to those who may not read it; one that does not exist is 404."""
    pipeline = service.pipeline(*FIELDS, require_if_match=True)
    stranger = service.principal(Grant("records", ("read",), pipeline_id=UUID(int=1)))
    for found in (pipeline, UUID(int=2)):
        path = f"/pipelines/{found}/records/01890000-0000-7000-8000-000000000000"
        assert (await stranger.delete(path)).status_code in (403, 404)

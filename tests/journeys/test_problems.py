"""Each kind of bad input gets its problem document (RFC 9457)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from ops.embedded import free_port, spawn
from ops.stack import readiness
from tests.journeys.crm import Json, colleague, make_pipeline, make_record, text, told
from tests.support.platform import PASSWORD, Platform, Tenant, client

pytestmark = pytest.mark.journey

NOBODY = str(uuid4())


@dataclass(frozen=True)
class Place:
    """A pipeline with one record in it."""

    records: str
    record: Json


@pytest.fixture
async def place(tenant: Tenant) -> Place:
    """Contacts with unique addresses and one of them; and a type of relationship."""
    told(await tenant.client.post("/relationship-types", json={"name": "taken"}), 201)
    pipeline = await make_pipeline(
        tenant.client, "Contacts", {"name": "email", "type": "email", "unique": True, "required": True}, text("name")
    )
    record = await make_record(tenant.client, pipeline, {"email": "ada@example.com", "name": "Ada"})
    return Place(f"/pipelines/{pipeline['id']}/records", record)


CASES: dict[str, tuple[int, str, str, Json]] = {
    "broken JSON": (
        400,
        "POST",
        "{records}",
        {"content": b'{"data": {', "headers": {"content-type": "application/json"}},
    ),
    "unknown pipeline": (404, "GET", f"/pipelines/{NOBODY}", {}),
    "id that is none": (404, "GET", "/pipelines/not-an-id", {}),
    "unknown path": (404, "GET", "/no-such-thing", {}),
    "method not allowed": (405, "PUT", "/pipelines", {"json": {}}),
    "name taken": (409, "POST", "/relationship-types", {"json": {"name": "taken"}}),
    "unique value taken": (422, "POST", "{records}", {"json": {"data": {"email": "ada@example.com"}}}),
    "body of another kind": (415, "POST", "{records}", {"content": b"a=b", "headers": {"content-type": "text/plain"}}),
    "body too large": (413, "POST", "/pipelines", {"content": b" " * (12 * 1024 * 1024)}),
    "limit out of range": (422, "GET", "{records}?limit=201", {}),
    "limit that is no number": (422, "GET", "{records}?limit=many", {}),
    "cursor of another list": (422, "GET", "{records}?cursor=nonsense", {}),
    "filter on an unknown field": (422, "GET", "{records}?filter[nothing]=1", {}),
    "filter that is no tree": (422, "GET", '{records}?filter={"or":1}', {}),
    "sort by an unknown field": (422, "GET", "{records}?sort=nothing", {}),
    "unknown field in a body": (422, "POST", "/pipelines", {"json": {"name": "X", "colour": "red"}}),
    "value of a wrong type": (422, "POST", "{records}", {"json": {"data": {"email": 5}}}),
}


@pytest.mark.parametrize("case", CASES)
async def test_bad_input_gets_its_problem_document(tenant: Tenant, place: Place, case: str) -> None:
    """The status, the type, and the request id of the answer's header stand in the document."""
    status, method, path, content = CASES[case]
    answer = await tenant.client.request(method, path.replace("{records}", place.records), **content)
    _check(answer, status)


async def test_a_stale_version_gets_412(tenant: Tenant, place: Place) -> None:
    """A PATCH whose field was changed since its version is told of the conflict."""
    path = f"{place.records}/{place.record['id']}"
    told(await tenant.client.patch(path, json={"data": {"name": "Ada L."}}))
    stale = {"If-Match": f'"{place.record["version"]}"'}
    answer = await tenant.client.patch(path, json={"data": {"name": "A. L."}}, headers=stale)
    _check(answer, 412)


async def test_all_faults_are_named(tenant: Tenant, place: Place) -> None:
    """A body with three faults is told all three, each by its pointer."""
    answer = await tenant.client.post(place.records, json={"data": {"name": 1, "x": 2}})
    problem = _check(answer, 422)
    assert {fault["pointer"] for fault in problem["errors"]} == {"/data/email", "/data/name", "/data/x"}
    assert all(fault["code"] and fault["detail"] for fault in problem["errors"])


@pytest.mark.parametrize("token", [None, "nonsense", "a.b.c"])
async def test_no_or_bad_credentials_get_401(stack: Platform, token: str | None) -> None:
    """Without a valid token nothing of a tenant is answered, and the scheme is named."""
    async with client(stack.url, token) as stranger:
        answer = await stranger.get("/pipelines")
    _check(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_wrong_password_looks_like_a_wrong_address(stack: Platform, tenant: Tenant) -> None:
    """Neither tells which of the two was wrong."""
    async with client(stack.url, **{"X-Tenant": tenant.slug}) as anonymous:
        problems = [
            _check(await anonymous.post("/auth/login", json={"email": email, "password": password}), 401)
            for email, password in ((tenant.email, "wrong password 1"), ("nobody@example.com", PASSWORD))
        ]
    assert _without_id(problems[0]) == _without_id(problems[1])


async def test_what_a_role_does_not_allow_gets_403(stack: Platform, tenant: Tenant, place: Place) -> None:
    """A viewer reads records and may not create any."""
    async with colleague(stack.url, tenant, "viewer") as (_, viewer, _):
        told(await viewer.get(place.records))
        _check(await viewer.post(place.records, json={"data": {"email": "b@example.com"}}), 403)


async def test_a_token_at_another_tenants_host_gets_403(stack: Platform, tenant: Tenant, other_tenant: Tenant) -> None:
    """Tenant of token and host must agree."""
    async with client(stack.url, tenant.access_token, host=f"{other_tenant.slug}.localhost") as stranger:
        problem = _check(await stranger.get("/pipelines"), 403)
    assert problem["type"] == "/problems/tenant-mismatch"


async def test_a_used_up_limit_gets_429(limited: str, tenant: Tenant) -> None:
    """Over the limit comes a refusal that says when to come back."""
    async with client(limited, tenant.access_token) as api:
        answers = [await api.get("/users/me") for _ in range(30)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    for answer in refused:
        _check(answer, 429)
        assert int(answer.headers["retry-after"]) >= 1
    assert "ratelimit" in answers[0].headers
    assert "ratelimit-policy" in answers[0].headers


@pytest.fixture
async def limited(stack: Platform) -> AsyncIterator[str]:
    """A second gateway before the same services, with limits that are soon used up."""
    port = free_port()
    gateway = stack.stack.plan.processes()["gateway"]
    environ = {**gateway.env, "PORT": str(port), "RATE_LIMITS": "on"}
    environ |= {"LIMIT_PRINCIPAL_RATE": "1", "LIMIT_PRINCIPAL_BURST": "10"}
    spawned = spawn(replace(gateway, name="gateway-limited", env=environ), stack.stack.home.run)
    try:
        spawned.wait_ready(lambda: readiness.ready(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        spawned.stop()


def _check(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: Json = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == answer.request.url.path
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


def _without_id(problem: Json) -> dict[str, Any]:
    return {name: value for name, value in problem.items() if name != "request_id"}

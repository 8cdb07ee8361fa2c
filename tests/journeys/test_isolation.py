"""A tenant never sees another's data: by the API, by events, by sockets."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import nats
import pytest

from millrace.client import Live
from tests.journeys.crm import Json, make_pipeline, make_record, relation, text, told
from tests.journeys.openapi import Operation, operations
from tests.support.platform import Platform, Tenant, client
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey

SECRET = "the-secret-of-the-first-tenant"
ENDS_THE_CALLER = "DELETE /api/v1/organizations/current"
# What SCIM says of itself is the same for every tenant.
# And so are templates.
ABOUT_NOBODY = {"slug": "crm", "resource_type": "User", "schema_urn": "urn:ietf:params:scim:schemas:core:2.0:User"}


@dataclass(frozen=True)
class Estate:
    """What a tenant owns: a pipeline, a record in it, and all that a path parameter may name."""

    pipeline: Json
    record: Json
    named: dict[str, str]

    @property
    def ids(self) -> set[str]:
        """Every id."""
        return {value for name, value in self.named.items() if name.endswith("_id")}

    def fill(self, operation: Operation) -> str:
        """The operation's path below `/api/v1`, with what this tenant owns in it."""
        path = operation.path.removeprefix("/api/v1")
        for name in operation.parameters:
            value = self.named.get(f"{path.split('/')[1]}/{name}") or self.named.get(name)
            assert value, f"{operation}: give the tenant a {name}, so that it can be kept from others"
            path = path.replace(f"{{{name}}}", value, 1)
        return path


@pytest.fixture
async def estate(tenant: Tenant) -> Estate:
    """One of everything, in the first tenant."""
    api = tenant.client
    companies = await make_pipeline(api, f"Companies {SECRET}", text("name", unique=True))
    pipeline = await make_pipeline(
        api, f"Deals {SECRET}", text("name", unique=True), relation("company", companies, "with_company"),
        {"name": "paper", "type": "file"},
    )  # fmt: skip
    company = await make_record(api, companies, {"name": SECRET})
    link = {"target_pipeline": companies["id"], "target_record": company["id"], "relationship_type": "also_with"}
    record = await make_record(api, pipeline, {"name": SECRET}, link)
    path = f"/pipelines/{pipeline['id']}/records/{record['id']}/relationships"
    person = {"email": f"{uuid4().hex}@example.com", "name": SECRET, "password": tenant.password, "roles": ["viewer"]}
    things = {
        "pipeline_id": pipeline,
        "record_id": record,
        "other_id": company,
        "relationship_id": told(await api.get(path))["items"][0],
        "type_id": told(await api.get("/relationship-types"))["items"][0],
        "role_id": told(await api.post("/roles", json={"name": SECRET, "inherits": [], "grants": []}), 201),
        "user_id": told(await api.post("/users", json=person), 201),
        "session_id": told(await api.get("/sessions"))["items"][0],
        "key_id": told(await api.post("/api-keys", json={"name": SECRET, "roles": ["viewer"]}), 201),
        "devices/key_id": told(await api.post("/devices", json={"name": SECRET, "roles": ["viewer"]}), 201),
    }
    rule = {
        "name": SECRET,
        "effect": "require",
        "when": {"field": "name", "op": "eq", "value": "x"},
        "fields": ["name"],
    }
    things["rule_id"] = told(await api.post(f"/pipelines/{pipeline['id']}/rules", json=rule), 201)
    view = {"name": SECRET, "visibility": "shared"}
    things["view_id"] = told(await api.post(f"/pipelines/{pipeline['id']}/views", json=view), 201)
    provider = {"name": SECRET, "issuer": "https://id.example.com", "client_id": SECRET, "email_domains": []}
    things["provider_id"] = told(await api.post("/sso/providers", json=provider | {"enabled": False}), 201)
    paper = {"field": "paper", "name": SECRET}
    brought = await api.post(f"/pipelines/{pipeline['id']}/files", params=paper, content=SECRET.encode())
    things["file_id"] = told(brought, 201)
    named = {name: thing["id"] for name, thing in things.items()}
    # No passkey stands among them: none of its operations reads, and each is of the caller's own passkeys.
    named["passkey_id"] = str(uuid4())
    domain = told(await api.post("/organizations/current/domains", json={"host": "crm.example.org"}), 201)
    named["host"] = domain["host"]
    named |= await _outward(api, record)
    named |= await _bulk(api, pipeline)
    named |= await _asked(api, named["user_id"])
    named |= await _open(api, pipeline, record, named["view_id"])
    named |= ABOUT_NOBODY
    return Estate(pipeline, record, {**named, "field": "name", "value": SECRET, "version": "1"})


async def _asked(api: httpx.AsyncClient, user_id: str) -> dict[str, str]:
    """An export of a person, and an erasure, both done."""
    export = told(await api.post("/compliance/exports", json={"user_id": user_id}), 202)
    erasure = told(await api.post("/compliance/erasures", json={"email": "nobody@example.com"}), 202)
    for path in (f"/compliance/exports/{export['id']}", f"/compliance/erasures/{erasure['id']}"):

        async def done(path: str = path) -> bool:
            return bool(told(await api.get(path))["state"] == "done")

        await eventually(done)
    return {"export_id": export["id"], "erasure_id": erasure["id"]}


async def _bulk(api: httpx.AsyncClient, pipeline: Json) -> dict[str, str]:
    """An import that refused a row, an export, and a merge."""
    path = f"/pipelines/{pipeline['id']}"
    lines = f"name\n{SECRET} one\n{SECRET} two\n{SECRET} one\n".encode()
    brought = told(await api.post(f"{path}/imports", content=lines, headers={"content-type": "text/csv"}), 202)
    taken = told(await api.post(f"{path}/exports"), 202)

    async def over() -> bool:
        jobs = [told(await api.get(f"/jobs/{job['id']}")) for job in (brought, taken)]
        return all(job["state"] == "done" for job in jobs)

    await eventually(over)
    alike = told(await api.get(f"{path}/records", params={"filter[name][starts_with]": f"{SECRET} "}))["items"]
    merge = {"target": alike[0]["id"], "sources": [alike[1]["id"]]}
    merged = told(await api.post("/records/merge", json=merge))
    jobs = {"jobs/job_id": brought["id"], "imports/job_id": brought["id"], "exports/job_id": taken["id"]}
    return {**jobs, "merge_id": merged["id"]}


async def _open(api: httpx.AsyncClient, pipeline: Json, record: Json, view_id: str) -> dict[str, str]:
    """Links to a record and to a view, and a form."""
    path = f"/pipelines/{pipeline['id']}"
    link = told(await api.post(f"/records/{record['id']}/share-links", json={"editable": True}), 201)
    listed = told(await api.post(f"{path}/view-links", json={"view_id": view_id}), 201)
    form = told(await api.post(f"{path}/forms", json={"name": SECRET, "fields": ["name"]}), 201)
    return {
        "records/link_id": link["id"], "pipelines/link_id": listed["id"], "form_id": form["id"],
        "shared/token": link["token"], "forms/token": form["path"].rpartition("/")[2],
    }  # fmt: skip


async def _outward(api: httpx.AsyncClient, record: Json) -> dict[str, str]:
    """A webhook with a delivery, and a record that is followed."""
    hook = {"url": f"https://{SECRET}.invalid/", "events": ["*"]}
    webhook = told(await api.post("/webhooks", json=hook), 201)
    delivery = told(await api.post(f"/webhooks/{webhook['id']}/test"), 202)
    told(await api.post("/notifications/follows", json={"record_id": record["id"]}), 201)
    return {"webhook_id": webhook["id"], "delivery_id": delivery["id"], "target_id": record["id"]}


async def test_no_operation_answers_with_anothers_data(
    stack: Platform, tenant: Tenant, other_tenant: Tenant, estate: Estate
) -> None:
    """Every operation there is, called with another tenant's ids, finds nothing; without ids, only one's own."""
    wrong = []
    for operation in await operations(stack.url):
        if str(operation) == ENDS_THE_CALLER:
            continue
        # A copy of the session each time, since some operations end it.
        async with client(stack.url, await _fresh_token(stack, other_tenant)) as stranger:
            answer = await _call(stranger, operation, estate)
        wrong += _faults(operation, answer, estate)
    assert wrong == []
    assert told(await tenant.client.get(f"/pipelines/{estate.pipeline['id']}/records"))["items"] != []


async def test_every_operation_that_reads_answers_the_owner(stack: Platform, tenant: Tenant, estate: Estate) -> None:
    """The same paths answer the tenant whose data it is: what hides it from others is not a wrong path."""
    silent = []
    for operation in await operations(stack.url):
        # What is open to anyone and names something only sends browsers on.
        if operation.method == "get" and operation.parameters and not operation.is_open:
            answer = await _call(tenant.client, operation, estate)
            silent += [f"{operation}: {answer.status_code} {answer.text}"] if answer.status_code != 200 else []
    assert silent == []


async def test_no_body_reaches_into_another_tenant(other_tenant: Tenant, estate: Estate) -> None:
    """References to another tenant's things inside of bodies are refused like references to nothing."""
    api = other_tenant.client
    pipeline = await make_pipeline(api, "Own", text("name"))
    record = await make_record(api, pipeline, {"name": "own"})
    records = f"/pipelines/{pipeline['id']}/records"
    foreign = {"target_pipeline": estate.pipeline["id"], "target_record": estate.record["id"]}
    link = {**foreign, "relationship_type": "reaches"}
    own_link = {"target_pipeline": pipeline["id"], "target_record": estate.record["id"], "relationship_type": "reaches"}
    bodies: list[tuple[str, Any]] = [
        (records, {"data": {"name": "x"}, "relationships": [link]}),
        (records, {"data": {"name": "x"}, "relationships": [own_link]}),
        (f"{records}/{record['id']}/relationships", link),
        (f"{records}/{record['id']}/relationships", own_link),
        ("/pipelines", {"name": "X", "schema_definition": {"fields": [relation("deal", estate.pipeline, "reaches")]}}),
        ("/relationship-types", {"name": "reach", "source_pipeline": estate.pipeline["id"]}),
        ("/roles", {"name": "X", "inherits": [estate.named["role_id"]], "grants": []}),
        ("/users", {"email": "x@example.com", "name": "X", "password": "x" * 16, "roles": [estate.named["role_id"]]}),
    ]
    answers = [(path, (await api.post(path, json=body)).status_code) for path, body in bodies]
    assert [answer for answer in answers if answer[1] not in (403, 404, 422)] == []


async def test_a_socket_hears_nothing_of_another_tenant(
    stack: Platform, tenant: Tenant, other_tenant: Tenant, estate: Estate
) -> None:
    """Another tenant's channels are refused, and a socket on all of one's own tenant hears only that."""
    async with Live.open(stack.url, other_tenant.access_token) as live:
        for channel in (f"record:{estate.record['id']}", f"pipeline:{estate.pipeline['id']}"):
            await live.send(type="subscribe", channel=channel)
            assert (await live.expect("error"))["code"] in ("not-found", "forbidden")
        await live.subscribe("tenant")
        await make_record(tenant.client, estate.pipeline, {"name": "unheard"})
        own = await make_pipeline(other_tenant.client, "Own", text("name"))
        mine = await make_record(other_tenant.client, own, {"name": "heard"})
        heard = await live.expect("record_created")
        assert heard["record"]["id"] == mine["id"]
        assert SECRET not in str(live.unread)


async def test_a_stream_tells_nothing_of_another_tenant(tenant: Tenant, other_tenant: Tenant, estate: Estate) -> None:
    """The changes that stream to a tenant from the very beginning are its own."""
    own = await make_pipeline(other_tenant.client, "Own", text("name"))
    mine = await make_record(other_tenant.client, own, {"name": "heard"})
    async with other_tenant.client.stream("GET", "/changes/stream", params={"since": 0}) as answer:
        lines = []
        async for line in answer.aiter_lines():
            lines.append(line)
            if mine["id"] in line:
                break
    assert SECRET not in "".join(lines)
    assert estate.ids.isdisjoint("".join(lines).split('"'))


async def test_an_event_travels_on_its_own_tenants_subjects(
    stack: Platform, tenant: Tenant, other_tenant: Tenant, estate: Estate
) -> None:
    """Listening to a tenant's subjects brings nothing of another tenant."""
    connection = await nats.connect(stack.stack.plan.nats_url)
    try:
        subscription = await connection.subscribe(f"evt.{other_tenant.id}.>")
        await connection.flush()
        await make_record(tenant.client, estate.pipeline, {"name": "unheard"})
        own = await make_pipeline(other_tenant.client, "Own", text("name"))
        await make_record(other_tenant.client, own, {"name": "heard"})
        payloads = b""
        while b'"heard"' not in payloads:
            payloads += (await subscription.next_msg(timeout=10)).data
        assert tenant.id.encode() not in payloads
        assert b"unheard" not in payloads
    finally:
        await connection.close()


async def _fresh_token(stack: Platform, tenant: Tenant) -> str:
    async with client(stack.url, **{"X-Tenant": tenant.slug}) as anonymous:
        body = {"email": tenant.email, "password": tenant.password}
        return str(told(await anonymous.post("/auth/login", json=body))["access_token"])


async def _call(api: httpx.AsyncClient, operation: Operation, estate: Estate) -> httpx.Response:
    path = estate.fill(operation)
    return await api.request(operation.method.upper(), path, params=operation.query, **operation.content)


def _faults(operation: Operation, answer: httpx.Response, estate: Estate) -> list[str]:
    refusals = (401, 403, 404) if operation.is_open else (403, 404)
    names_something = bool(set(operation.parameters) - ABOUT_NOBODY.keys())
    if names_something and answer.status_code not in refusals:
        return [f"{operation}: {answer.status_code} {answer.text[:200]}"]
    told_ids = [id_ for id_ in estate.ids if id_ in answer.text] if answer.is_success else []
    if told_ids or SECRET in answer.text.replace(str(answer.request.url.path), ""):
        return [f"{operation} told of another tenant: {answer.text[:200]}"]
    return []

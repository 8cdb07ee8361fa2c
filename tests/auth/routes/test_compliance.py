"""A person's data out, or erased: what auth does, while peers on the bus answer for the other services."""

import io
import json
import zipfile
from typing import Any

import httpx
import jwt
import pytest

from libs.common import persons
from libs.common.bus import Bus
from libs.common.persons import Page, Question
from services.auth.domain.compliance import SOURCES
from tests.auth.support import Heard, Tenant, problem
from tests.support.waiting import eventually

PEERS = SOURCES[1:]


@pytest.fixture
async def asked(bus: Bus) -> list[tuple[str, Question]]:
    """What the other services are asked; each has two pages, with one thing on each."""
    found: list[tuple[str, Question]] = []

    def peer(service: str) -> persons.Contributor:
        async def contribute(question: Question) -> Page:
            found.append((service, question))
            erased = {"names": 1} if question.kind == "erasure" else {}
            return Page([{"kind": "thing"}], erased, None if question.cursor else "second")

        return contribute

    for service in PEERS:
        persons.serve(bus, service, peer(service))
    return found


async def finished(tenant: Tenant, kind: str, **person: str) -> dict[str, Any]:
    """A request that was made, when it is done."""
    answer = await tenant.ask("POST", f"/compliance/{kind}", json=person)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()

    async def done() -> bool:
        nonlocal job
        job = (await tenant.ask("GET", f"/compliance/{kind}/{job['id']}")).json()
        return bool(job["state"] == "done")

    await eventually(done)
    return job


async def report(tenant: Tenant, http: httpx.AsyncClient, job: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The manifest of a report, whose signature and digests are good, and all that it tells."""
    answer = await tenant.ask("GET", job["report_url"].removeprefix("/api/v1"))
    assert answer.headers["content-type"] == "application/zip"
    file = zipfile.ZipFile(io.BytesIO(answer.content))
    jws = file.read("manifest.jws").decode()
    keys = {it["kid"]: jwt.PyJWK(it) for it in (await http.get("/.well-known/report-keys.json")).json()["keys"]}
    kid = jwt.get_unverified_header(jws)["kid"]
    assert jwt.PyJWS().decode(jws, keys[kid], algorithms=["EdDSA"]) == file.read("manifest.json")
    manifest = json.loads(file.read("manifest.json"))
    names = {name for name in file.namelist() if not name.startswith("manifest")}
    assert manifest["sha256"].keys() == names
    return manifest, [item for name in sorted(names) for item in json.loads(file.read(name))]


async def test_an_export_has_what_every_service_holds(
    tenant: Tenant, http: httpx.AsyncClient, asked: list[tuple[str, Question]]
) -> None:
    """All pages of all services, with the person's account and audit log, in a signed report."""
    member = await tenant.add("member", "ada@example.com")
    await tenant.sign_in("ada@example.com")
    job = await finished(tenant, "exports", user_id=member["id"])
    manifest, items = await report(tenant, http, job)
    assert (manifest["user_id"], manifest["email"]) == (member["id"], "ada@example.com")
    assert manifest["summary"]["records"] == {"items": 2}
    kinds = [item["kind"] for item in items]
    assert {"account", "session", "audit_entry"} < set(kinds)
    assert kinds.count("thing") == 2 * len(PEERS)
    (started,) = [it for it in items if it.get("action") == "session.started"]
    assert started["actor"]["name"] == "member"
    assert [(service, it.cursor) for service, it in asked] == [
        (service, cursor) for service in PEERS for cursor in (None, "second")
    ]


async def test_an_erasure_leaves_no_name_and_a_whole_chain(
    tenant: Tenant, http: httpx.AsyncClient, asked: list[tuple[str, Question]], heard: Heard, bus: Bus
) -> None:
    """The account is gone under no name, the audit log keeps its entries without one, and its chain is sound."""
    member = await tenant.add("member", "ada@example.com")
    session = await tenant.sign_in("ada@example.com")
    job = await finished(tenant, "erasures", user_id=member["id"])
    assert job["summary"]["auth"] == {"accounts": 1, "audit_names": 1}
    assert job["summary"]["records"] == {"names": 2, "items": 2}
    (gone,) = await heard.wait(tenant.id, "auth.user.deleted")
    assert (gone["name"], gone["email"]) == ("Erased person", f"{member['id']}@erased.invalid")
    assert problem(await tenant.ask("GET", f"/users/{member['id']}")) == (404, "not-found")
    refused = await tenant.anonymous("/auth/refresh", {"refresh_token": session["refresh_token"]})
    assert refused.status_code == 401
    log = (await tenant.ask("GET", f"/admin/audit-log?limit=200&actor_id={member['id']}")).json()["items"]
    assert {it["actor"]["name"] for it in log} == {"[erased]"}
    everything = (await tenant.ask("GET", "/admin/audit-log/export")).text
    assert "ada@example.com" not in everything
    checked = await bus.request("rpc.auth.admin.check_audit", {"tenant": tenant.slug}, dict[str, Any])
    assert (checked["end"], checked["broken_at"]) == (True, None)
    manifest, _ = await report(tenant, http, job)
    assert (manifest["user_id"], manifest["email"]) == (member["id"], None)
    # Nothing is left to tell of; the report of a second erasure says so.
    assert (await finished(tenant, "erasures", user_id=member["id"]))["summary"]["auth"]["accounts"] == 0


async def test_who_may_ask(tenant: Tenant, asked: list[tuple[str, Question]], other: Tenant) -> None:
    """Everyone for their own export; managers of the organization for others; nobody erases themselves."""
    member = await tenant.add("member", "ada@example.com")
    token = (await tenant.sign_in("ada@example.com"))["access_token"]
    own = await tenant.ask("POST", "/compliance/exports", token, json={"user_id": member["id"]})
    assert own.status_code == 202
    path = f"/compliance/exports/{own.json()['id']}"
    assert (await tenant.ask("GET", path, token)).status_code == 200
    assert problem(await other.ask("GET", path)) == (404, "not-found")
    owner = tenant.told["user"]["id"]
    for kind, person in (
        ("exports", {"user_id": owner}),
        ("exports", {"email": "x@y.zz"}),
        ("erasures", {"user_id": owner}),
    ):
        refused = await tenant.ask("POST", f"/compliance/{kind}", token, json=person)
        assert problem(refused) == (403, "forbidden")
    mine = await tenant.ask("POST", "/compliance/erasures", json={"user_id": owner})
    assert problem(mine) == (409, "own-account")
    unknown = await tenant.ask("POST", "/compliance/exports", json={"user_id": other.told["user"]["id"]})
    assert problem(unknown) == (404, "not-found")
    both = await tenant.ask("POST", "/compliance/exports", json={"user_id": owner, "email": "x@y.zz"})
    assert both.status_code == 422
    assert (await tenant.ask("GET", "/compliance/exports")).json()["items"][0]["id"] == own.json()["id"]


async def test_a_service_that_is_away_is_waited_for(tenant: Tenant, bus: Bus) -> None:
    """The request stays where it is until the service answers."""
    job = (await tenant.ask("POST", "/compliance/exports", json={"email": "somebody@example.com"})).json()
    path = f"/compliance/exports/{job['id']}"

    async def at_pipelines() -> bool:
        return bool((await tenant.ask("GET", path)).json()["source"] == "pipelines")

    await eventually(at_pipelines)
    assert problem(await tenant.ask("GET", f"{path}/report")) == (409, "not-done")


async def test_ones_own_export_tells_no_records_of_others(tenant: Tenant, asked: list[tuple[str, Question]]) -> None:
    """Records that hold an address are looked for only where who manages the organization asks: all of it is told."""
    member = await tenant.add("member", "ada@example.com")
    token = (await tenant.sign_in("ada@example.com"))["access_token"]
    for by in (token, None):
        begun = await tenant.ask("POST", "/compliance/exports", by, json={"user_id": member["id"]})
        path = f"/compliance/exports/{begun.json()['id']}"

        async def done(path: str = path) -> bool:
            return bool((await tenant.ask("GET", path)).json()["state"] == "done")

        await eventually(done)
    told = [question.email for service, question in asked if service == "records"]
    assert told == [None, None, "ada@example.com", "ada@example.com"]


async def test_nobody_fetches_an_export_in_anothers_name(tenant: Tenant, asked: list[tuple[str, Question]]) -> None:
    """What somebody was told of themselves is not shown to who acts in their name."""
    member = await tenant.add("member", "ada@example.com")
    token = (await tenant.sign_in("ada@example.com"))["access_token"]
    begun = await tenant.ask("POST", "/compliance/exports", token, json={"user_id": member["id"]})
    await tenant.ask("PATCH", "/organizations/current", json={"security": {"impersonation": True}})
    acting = await tenant.ask("POST", f"/users/{member['id']}/impersonate", json={"reason": "ticket 4711"})
    path = f"/compliance/exports/{begun.json()['id']}"
    assert (await tenant.ask("GET", path, token)).status_code == 200
    for part in ("", "/report"):
        refused = await tenant.ask("GET", path + part, acting.json()["access_token"])
        assert problem(refused) == (403, "forbidden")

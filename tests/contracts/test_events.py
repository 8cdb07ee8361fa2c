"""What is emitted, what is documented and what is listened to agree, on the running platform."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
import nats
import pytest
from nats.js import JetStreamContext

from libs.common.events import STREAM, Envelope, decode
from libs.common.migrate import SERVICES
from tests.journeys.crm import make_pipeline, make_record, text, told
from tests.support.platform import PASSWORD, Platform, Tenant
from tests.support.waiting import eventually

ARCHITECTURE = Path(__file__).parents[2] / "docs/architecture.md"
ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)\.([a-z_ ]+)` \|", re.MULTILINE)
COMPLAINTS = ("event not readable", "event not handled", "listener failed")


def documented() -> set[str]:
    """The event types of the table in the architecture document."""
    section = ARCHITECTURE.read_text().partition("## Events")[2].partition("\n## ")[0]
    return {f"{entity}.{verb}" for entity, verbs in ROW.findall(section) for verb in verbs.split()}


@asynccontextmanager
async def stream(stack: Platform) -> AsyncIterator[JetStreamContext]:
    """The platform's JetStream, beside its services."""
    plan = stack.stack.plan
    client = await nats.connect(plan.nats_url)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def tour(api: httpx.AsyncClient, url: str, tenant: Tenant) -> None:
    """Does everything that emits an event, but for the rotation of keys and the end of the tenant."""
    told(await api.patch("/organizations/current", json={"name": "Another name"}))
    role = told(await api.post("/roles", json={"name": f"Role {uuid4().hex[:8]}", "grants": []}), 201)
    told(await api.patch(f"/roles/{role['id']}", json={"name": f"Role {uuid4().hex[:8]}"}))
    told(await api.delete(f"/roles/{role['id']}"), 204)
    person = {"email": f"p-{uuid4().hex[:8]}@example.com", "name": "Person", "password": PASSWORD, "roles": ["member"]}
    user = told(await api.post("/users", json=person), 201)
    told(await api.patch(f"/users/{user['id']}", json={"name": "Somebody"}))
    told(await api.post(f"/users/{user['id']}/deactivate"))
    told(await api.delete(f"/users/{user['id']}"), 204)
    await _model(api)
    await _outward(api)
    await _jobs(api)


async def _jobs(api: httpx.AsyncClient) -> None:
    """A table is brought; what is none fails; a long one is cancelled."""
    people = await make_pipeline(api, "Brought", text("name"))
    path = f"/pipelines/{people['id']}/imports"
    long = b"name\n" + b"somebody\n" * 20_000
    for body, end in ((b"name\nOne\n", "done"), (b"PK\x03\x04 and nothing more", "failed"), (long, "cancelled")):
        job = told(await api.post(path, content=body, headers={"content-type": "text/csv"}), 202)
        if end == "cancelled":
            told(await api.post(f"/jobs/{job['id']}/cancel"))
        await eventually(partial(_is, api, job["id"], end))


async def _is(api: httpx.AsyncClient, job_id: str, state: str) -> bool:
    return bool(told(await api.get(f"/jobs/{job_id}"))["state"] == state)


async def _outward(api: httpx.AsyncClient) -> None:
    """A webhook is made, changed and ended; and a person is assigned something, of which they are mailed."""
    hook = told(await api.post("/webhooks", json={"url": "https://hooks.invalid/", "events": ["*"]}), 201)
    told(await api.patch(f"/webhooks/{hook['id']}", json={"description": "Ours"}))

    async def gone() -> bool:  # The sender may have it in hand: 409 says to try again.
        return (await api.delete(f"/webhooks/{hook['id']}")).status_code == 204

    await eventually(gone)
    person = {"email": f"a-{uuid4().hex[:8]}@example.com", "name": "Ann", "password": PASSWORD, "roles": ["member"]}
    ann = told(await api.post("/users", json=person), 201)
    tasks = await make_pipeline(api, "Tasks", text("name"), {"name": "assignee", "type": "user"})
    await make_record(api, tasks, {"name": "One", "assignee": ann["id"]})


async def _model(api: httpx.AsyncClient) -> None:
    people = await make_pipeline(api, "People", text("name"))
    path = f"/pipelines/{people['id']}"
    told(await api.patch(path, json={"description": "Those we know"}))
    view = told(await api.post(f"{path}/views", json={"name": "By name", "sort": "name"}), 201)
    told(await api.patch(f"{path}/views/{view['id']}", json={"name": "Down by name", "sort": "-name"}))
    told(await api.delete(f"{path}/views/{view['id']}"), 204)
    kind = told(await api.post("/relationship-types", json={"name": "knows", "inverse_name": "known_by"}), 201)
    told(await api.patch(f"/relationship-types/{kind['id']}", json={"inverse_name": "is_known_by"}))
    one, other = [await make_record(api, people, {"name": name}) for name in ("One", "Other")]
    record = f"{path}/records/{one['id']}"
    link = {"target_pipeline": people["id"], "target_record": other["id"], "relationship_type": "knows"}
    edge = told(await api.post(f"{record}/relationships", json=link), 201)
    told(await api.patch(f"{record}/relationships/{edge['id']}", json={"attributes": {"since": 2024}}))
    told(await api.delete(f"{record}/relationships/{edge['id']}"), 204)
    told(await api.patch(record, json={"data": {"name": "The one"}}))
    link = told(await api.post(f"/records/{one['id']}/share-links", json={}), 201)
    told(await api.delete(f"/records/{one['id']}/share-links/{link['id']}"), 204)
    told(await api.delete(record), 204)
    told(await api.post(f"{record}/restore"))
    merge = told(await api.post("/records/merge", json={"target": one["id"], "sources": [other["id"]]}))
    told(await api.post(f"/records/merges/{merge['id']}/undo"))
    told(await api.delete(f"{path}/records/{other['id']}", params={"permanent": "true"}), 204)
    (await api.get(f"{path}/exports", params={"format": "csv"})).raise_for_status()
    told(await api.delete(f"/relationship-types/{kind['id']}"), 204)
    told(await api.delete(path), 204)
    told(await api.post(f"{path}/restore"))


@pytest.mark.journey
async def test_what_is_emitted_is_documented_and_handled(stack: Platform, tenant: Tenant) -> None:
    """Every documented event is emitted, no other is, and every consumer takes each without a complaint."""
    await tour(tenant.client, stack.url, tenant)
    ends = {"auth.tenant.deleted", *(f"{service}.tenant.purged" for service in SERVICES)}
    elsewhere = {"auth.key.rotated", "realtime.webhook.disabled", *ends}
    async with stream(stack) as js:

        async def all_told() -> bool:
            missing = documented() - elsewhere - await _types(js, tenant.id)
            return not missing

        await eventually(all_told)
        await eventually(lambda: _all_handled(js))
        assert await _types(js, tenant.id) <= documented()
    assert _complaints(stack) == []


async def _all_handled(js: JetStreamContext) -> bool:
    consumers = await js.consumers_info(STREAM)
    durable = [info for info in consumers if info.config.durable_name]
    assert durable
    return not any(info.num_pending or info.num_ack_pending for info in durable)


async def _types(js: JetStreamContext, tenant_id: str) -> set[str]:
    found = set()
    subscription = await js.pull_subscribe(f"evt.{tenant_id}.>", stream=STREAM)
    while (await subscription.consumer_info()).num_pending:
        for message in await subscription.fetch(100):
            event = decode(message.data, dict)
            assert message.subject == f"evt.{event.tenant_id}.{event.type}"
            found.add(event.type)
            await message.ack()
    await subscription.unsubscribe()
    return found


def _complaints(stack: Platform) -> list[str]:
    logs = stack.stack.home.log.glob("*.log")
    return [line for log in logs for line in log.read_text().splitlines() if any(text in line for text in COMPLAINTS)]


def test_the_envelope_is_a_cloud_event() -> None:
    """An event's envelope has the attributes that CloudEvents 1.0 requires."""
    assert {"id", "source", "specversion", "type"} <= set(Envelope.__struct_fields__)

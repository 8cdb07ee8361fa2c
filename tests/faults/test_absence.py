"""What is away degrades the platform and does not fell it; what comes back is used again without a restart.

The broker and the cache hold nothing that cannot be had again: with all their data gone everything goes on.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from millrace.client import Live
from ops.stack import Stack
from ops.stack.plan import ALL
from tests.faults.watching import Watcher, announced, recovered
from tests.journeys.crm import Json, colleague, make_pipeline, make_record, number, pages, text, told
from tests.realtime.receiver import receiving
from tests.support.platform import Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.fault


@contextmanager
def away(stack: Stack, process: str) -> Iterator[None]:
    """A process is stopped as long as the block lasts."""
    name = f"{'services' if process in ALL else 'servers'}:{process}"
    stack.supervisor.call("stopProcess", name)
    try:
        yield
    finally:
        stack.supervisor.call("startProcess", name)


@pytest.mark.parametrize(
    ("service", "path", "other"),
    [
        ("records", "/pipelines/{pipeline}/records", "/pipelines"),
        ("pipelines", "/pipelines", "/pipelines/{pipeline}/records"),
        ("auth", "/users", "/pipelines/{pipeline}/records"),
        ("realtime", "/changes?since=0", "/pipelines/{pipeline}/records"),
    ],
)
async def test_one_service_away_leaves_the_others(
    victim: Stack, victims_tenant: Tenant, service: str, path: str, other: str
) -> None:
    """Its paths answer 503 with Retry-After, those of the others go on, and it is back as soon as it runs."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    await make_record(api, pipeline, {"name": "One"})
    path, other = path.format(pipeline=pipeline["id"]), other.format(pipeline=pipeline["id"])
    before = _pids(victim)
    with away(victim, service):
        for _ in range(20):
            _check_unavailable(await api.get(path))
            told(await api.get(other))
    await _answers(api, path)
    after = _pids(victim)
    assert {name for name in before if before[name] != after[name]} == {service}


async def test_without_the_broker_writes_go_on_and_are_announced_later(victim: Stack, victims_tenant: Tenant) -> None:
    """NATS away: records are written and wait in the outbox; NATS back: each is announced once."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    await make_record(api, pipeline, {"name": "Before"})
    with away(victim, "nats"):
        written = {(await make_record(api, pipeline, {"name": f"Written {n}"}))["id"] for n in range(5)}

    async def all_announced() -> bool:
        try:
            return written <= set(await announced(victim, victims_tenant))
        except OSError:
            return False

    await eventually(all_announced)
    assert set((await announced(victim, victims_tenant)).values()) == {1}


async def test_without_the_cache_requests_go_on(victim: Stack, victims_tenant: Tenant) -> None:
    """Valkey away: people sign in, read and write as before."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    with away(victim, "valkey"):
        body = {"email": victims_tenant.email, "password": victims_tenant.password}
        told(await api.post("/auth/login", json=body, headers={"X-Tenant": victims_tenant.slug}))
        record = await make_record(api, pipeline, {"name": "Written"})
        told(await api.get(f"/pipelines/{pipeline['id']}/records/{record['id']}"))


async def test_without_the_database_answers_say_when_to_come_back(victim: Stack, victims_tenant: Tenant) -> None:
    """PostgreSQL away: 503 with Retry-After; PostgreSQL back: the same processes answer."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    record = await make_record(api, pipeline, {"name": "One"})
    path = f"/pipelines/{pipeline['id']}/records/{record['id']}"
    before = _pids(victim)
    with away(victim, "postgres"):
        _check_unavailable(await api.get(path))
    await _answers(api, path)
    after = _pids(victim)
    assert {name for name in before if before[name] != after[name]} == {"postgres"}


@contextmanager
def emptied(stack: Stack) -> Iterator[None]:
    """NATS and Valkey are away as long as the block lasts, and come back without anything they ever held."""
    for server in ("nats", "valkey"):
        stack.supervisor.call("stopProcess", f"servers:{server}")
    try:
        yield
    finally:
        shutil.rmtree(stack.home.data / "nats" / "jetstream")
        for path in (stack.home.data / "valkey").iterdir():
            if path.name != "valkey.conf":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for server in ("nats", "valkey"):
            stack.supervisor.call("startProcess", f"servers:{server}")


async def test_everything_goes_on_without_what_the_broker_and_the_cache_held(
    victim: Stack, victims_tenant: Tenant
) -> None:
    """Writes wait and are announced once, sockets hear again, webhooks deliver, definitions and roles reach others."""
    api = victims_tenant.client
    async with receiving() as receiver:
        pipeline = await make_pipeline(api, "Contacts", text("name"))
        hook = {"url": receiver.url("/hook"), "events": ["record.created"]}
        told(await api.post("/webhooks", json=hook), 201)
        before = await make_record(api, pipeline, {"name": "Before"})
        await receiver.got(1, "/hook")
        with emptied(victim):
            meanwhile = await make_record(api, pipeline, {"name": "Meanwhile"})
        recovered(victim)

        # What waited in the outbox is announced, once; what had been delivered is not again.
        heard = [taken.record["id"] for taken in await receiver.got(2, "/hook", 30)]
        assert heard == [before["id"], meanwhile["id"]]

        # A socket opened now hears of what is written now.
        watcher = Watcher(victim.plan.gateway_url, victims_tenant, pipeline)
        async with watcher.at_work():
            after = await make_record(api, pipeline, {"name": "After"})

            async def told_of() -> bool:
                return after["id"] in watcher.heard

            await eventually(told_of)

        # A changed definition reaches records, a new role and person every service.
        path = f"/pipelines/{pipeline['id']}"
        current = await api.get(path)
        fields = [*current.json()["schema_definition"]["fields"], number("amount")]
        change = {"schema_definition": {"fields": fields}}
        told(await api.patch(path, json=change, headers={"If-Match": current.headers["etag"]}))

        async def taken_with_amount() -> bool:
            answer = await api.post(f"{path}/records", json={"data": {"name": "Sum", "amount": 5}})
            return answer.status_code == 201

        await eventually(taken_with_amount)
        async with colleague(victim.plan.gateway_url, victims_tenant, "member") as (_, theirs, token):
            seen = {record["id"] for record in await pages(theirs, f"{path}/records", limit=200)}
            assert {before["id"], meanwhile["id"], after["id"]} <= seen
            async with Live.open(victim.plan.gateway_url, token) as live:
                await live.subscribe(f"pipeline:{pipeline['id']}")


async def test_a_position_of_the_lost_stream_asks_to_read_anew(victim: Stack, victims_tenant: Tenant) -> None:
    """Who comes back with a position that the stream cannot serve is told so, by socket and by the feed."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    answer = await api.post(f"/pipelines/{pipeline['id']}/records", json={"data": {"name": "Before"}})
    position = int((await api.get(f"/pipelines/{pipeline['id']}/records")).headers["change-seq"])
    assert answer.status_code == 201
    with emptied(victim):
        pass
    recovered(victim)
    await make_record(api, pipeline, {"name": "After"})
    async with Live.open(victim.plan.gateway_url, victims_tenant.access_token) as live:
        await live.send(type="subscribe", channel=f"pipeline:{pipeline['id']}", from_seq=position)
        await live.expect("resync_required")

    async def gone() -> bool:
        return (await api.get("/changes", params={"since": position})).status_code == 410

    await eventually(gone)


async def _answers(api: httpx.AsyncClient, path: str) -> None:
    async def answered() -> bool:
        return (await api.get(path)).status_code == 200

    await eventually(answered)


def _pids(stack: Stack) -> dict[str, int]:
    return {condition.name: condition.pid for condition in stack.status()}


def _check_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    problem: Json = answer.json()
    assert problem["status"] == 503
    assert problem["request_id"] == answer.headers["x-request-id"]

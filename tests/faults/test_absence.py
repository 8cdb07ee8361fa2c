"""What is away degrades the platform and does not fell it; what comes back is used again without a restart."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from ops.stack import Stack
from ops.stack.plan import ALL
from tests.faults.watching import announced
from tests.journeys.crm import Json, make_pipeline, make_record, text, told
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

    await eventually(all_announced, 20)
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


async def _answers(api: httpx.AsyncClient, path: str) -> None:
    async def answered() -> bool:
        return (await api.get(path)).status_code == 200

    await eventually(answered, 20)


def _pids(stack: Stack) -> dict[str, int]:
    return {condition.name: condition.pid for condition in stack.status()}


def _check_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    problem: Json = answer.json()
    assert problem["status"] == 503
    assert problem["request_id"] == answer.headers["x-request-id"]

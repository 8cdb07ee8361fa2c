"""How long what was taken away still works, from the answer to the act until all refuse it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from millrace.client import Api
from millrace.client.live import Live
from ops.bench.figures import Figure
from ops.bench.stage import Stage

ROUNDS = 10
LONGEST = 30.0  # seconds; what takes longer has no effect
PASSWORD = "a shorter horse than battery 8"  # noqa: S105 – of people who live for seconds


async def measure(stage: Stage) -> list[Figure]:
    """The slowest of several rounds of each."""
    acts = {
        "a session that is revoked, at the gateway": _session,
        "a person who is deactivated, at the gateway": _person,
        "a key that is deleted, at the gateway": _key,
        "a role that loses its rights, in all services": _role,
        "a session that is revoked, on its open socket": _socket,
    }
    return [
        Figure(name, max([await act(stage, number) for number in range(ROUNDS)]) * 1000, "ms", most=1000)
        for name, act in acts.items()
    ]


async def _session(stage: Stage, number: int) -> float:
    async with await _signed_in(stage, f"session-{number}", "viewer") as person:
        session = (await person.get("/sessions"))["items"][0]["id"]
        await person.delete(f"/sessions/{session}")
        return await _until_refused(person, "/users/me", "/pipelines", "/relationship-types")


async def _person(stage: Stage, number: int) -> float:
    async with await _signed_in(stage, f"person-{number}", "viewer") as person:
        await stage.api.post(f"/users/{person.user['id']}/deactivate")
        return await _until_refused(person, "/users/me", "/pipelines", "/relationship-types")


async def _key(stage: Stage, number: int) -> float:
    made = await stage.api.post("/api-keys", {"name": f"Key {number}", "roles": ["viewer"]})
    async with Api(stage.plan.gateway_url) as machine:
        machine.token = made["key"]
        await machine.get("/pipelines")
        await stage.api.delete(f"/api-keys/{made['id']}")
        return await _until_refused(machine, "/pipelines", "/relationship-types")


async def _role(stage: Stage, number: int) -> float:
    grants = [{"resource": resource, "actions": ["read"]} for resource in ("pipelines", "records", "users")]
    role = await stage.api.post("/roles", {"name": f"Waning {number}", "grants": grants})
    path = f"/pipelines/{stage.pipelines['airports']}"
    async with await _signed_in(stage, f"role-{number}", role["id"]) as person:
        await person.get(path)
        await stage.api.patch(f"/roles/{role['id']}", {"grants": []})
        return await _until_refused(person, "/users", path, f"{path}/records?limit=1")


async def _socket(stage: Stage, number: int) -> float:
    async with (
        await _signed_in(stage, f"socket-{number}", "viewer") as person,
        Live.open(stage.plan.gateway_url, person.token) as live,
    ):
        await live.subscribe("tenant")
        session = (await person.get("/sessions"))["items"][0]["id"]
        await person.delete(f"/sessions/{session}")
        return await _seconds(lambda: live.expect("error", code="session-revoked"))


async def _signed_in(stage: Stage, name: str, role: str) -> Api:
    email = f"{name}@example.com"
    await stage.api.post("/users", {"email": email, "name": name, "password": PASSWORD, "roles": [role]})
    person = Api(stage.plan.gateway_url, stage.api.http.headers["X-Tenant"])
    await person.sign_in(email, PASSWORD)
    return person


async def _until_refused(person: Api, *paths: str) -> float:
    """Seconds until none of these is answered any more; the person's own client renews nothing."""

    async def refused() -> None:
        for path in paths:
            while (await person.http.get(path, headers=_bearer(person))).is_success:
                pass

    return await _seconds(refused)


def _bearer(person: Api) -> dict[str, str]:
    return {"Authorization": f"Bearer {person.token}"}


async def _seconds(work: Callable[[], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    async with asyncio.timeout(LONGEST):
        await work()
    return time.perf_counter() - started

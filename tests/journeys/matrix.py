"""Who may do what: each operation of the merged OpenAPI document, tried by each of the seeded roles.

Requests are well-formed, and name pipelines, records and invited users made for them; other ids are of nothing. Every
role acts in a tenant of its own, so that what one does changes nothing for another.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import httpx

from tests.journeys.crm import make_pipeline, make_record, text, told
from tests.journeys.openapi import Operation, operations
from tests.support.platform import PASSWORD, Tenant, client, signed_up
from tests.support.waiting import eventually

ROLES = ("owner", "admin", "manager", "member", "viewer")
HEAD = """# Permissions

Written by `./taskw permissions` from what the running platform answers, and checked by a test: a cell that changes
fails until it is accepted by that task.

Each operation is tried by one person of each seeded role, well-formed, on a pipeline, a record and an invited user made
for it; other ids are of nothing. `403` is a refusal by permission. Whatever else stands there is what came after the
permission was found: `404`, where nothing of that id exists, or `422`, where the least body is not a good one.
"""


@dataclass
class Person:
    """One who tries: the role, the tenant, and a session that is renewed when an operation has ended it."""

    role: str
    tenant: Tenant
    email: str
    url: str
    token: str = ""

    async def sign_in(self) -> None:
        """Begins a session."""
        async with client(self.url, **{"X-Tenant": self.tenant.slug}) as anonymous:
            body = {"email": self.email, "password": PASSWORD}
            self.token = told(await anonymous.post("/auth/login", json=body))["access_token"]

    async def attempt(self, operation: Operation) -> int:
        """The status of the answer."""
        path = await self._fill(operation)
        answer = await self._call(operation, path)
        if answer.status_code == 401:
            await self.sign_in()
            answer = await self._call(operation, path)
        if answer.status_code == 202 and path == "/organizations/current":
            await self._restore()
        return answer.status_code

    async def _restore(self) -> None:
        """Takes the end of the tenant back, so that the next operation finds it served."""
        told(await self.tenant.client.post("/organizations/current/restore"))

        async def served() -> bool:
            return (await self.tenant.client.get("/users/me")).status_code == 200

        await eventually(served)

    async def _fill(self, operation: Operation) -> str:
        path, made = operation.path.removeprefix("/api/v1"), await self._make(operation.parameters)
        for name in operation.parameters:
            other = str(uuid4()) if name.endswith("_id") else "nothing.example.org" if name == "host" else "name"
            path = path.replace(f"{{{name}}}", made.get(name, other), 1)
        return path

    async def _make(self, names: list[str]) -> dict[str, str]:
        """What an operation is tried on, made by the owner."""
        owner, made = self.tenant.client, {}
        if "pipeline_id" in names or "record_id" in names:
            pipeline = await make_pipeline(owner, f"P {uuid4()}", text("name", unique=True))
            record = await make_record(owner, pipeline, {"name": "x"}) if "record_id" in names else {"id": ""}
            made = {"pipeline_id": str(pipeline["id"]), "record_id": str(record["id"])}
        if "user_id" in names:
            body = {"email": f"{uuid4().hex}@example.com", "name": "x", "roles": ["viewer"]}
            made["user_id"] = str(told(await owner.post("/users", json=body), 201)["id"])
        return made

    async def _call(self, operation: Operation, path: str) -> httpx.Response:
        # By a name wherever the platform is: passkeys are not for an address.
        async with client(self.url, self.token, Host="localhost") as api:
            return await api.request(operation.method.upper(), path, params=operation.query, **operation.content)


@asynccontextmanager
async def person(url: str, role: str) -> AsyncIterator[Person]:
    """Somebody of that role in a tenant of their own."""
    async with signed_up(url) as tenant:
        email = f"{role}-too@{tenant.slug}.example.com"
        body = {"email": email, "name": role, "password": PASSWORD, "roles": [role]}
        told(await tenant.client.post("/users", json=body), 201)
        made = Person(role, tenant, email, url)
        await made.sign_in()
        yield made


async def document(url: str) -> str:
    """The table as Markdown."""
    every = sorted(await operations(url), key=lambda it: (it.path, it.method))
    closed = [it for it in every if {} not in it.declared.get("security", ())]
    rows: dict[str, list[str]] = {str(it): [] for it in closed}
    for role in ROLES:
        async with person(url, role) as who:
            for operation in closed:
                rows[str(operation)].append(str(await who.attempt(operation)))
    lines = [f"| `{name}` | {' | '.join(statuses)} |" for name, statuses in rows.items()]
    anyone = [f"- `{it}`" for it in every if it not in closed]
    table = [f"| operation | {' | '.join(ROLES)} |", "|---|" + "---|" * len(ROLES), *lines]
    return "\n".join([HEAD, *table, "", "## Open to everyone", "", *anyone, ""])

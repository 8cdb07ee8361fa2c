"""A tenant of an auth service that runs in the test's process, and what its people ask."""

import email
import email.policy
import re
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
from nats.aio.msg import Msg

from services.auth.settings import Settings
from tests.support.postgres import Database
from tests.support.waiting import eventually

PASSWORD = "correct horse battery staple 9"
SECRET = "a secret that encrypts keys at rest"


@dataclass(frozen=True)
class Tenant:
    """A tenant with its owner's tokens; `client` speaks to `/api/v1`, and `as_` with another token."""

    id: UUID
    slug: str
    email: str
    told: dict[str, Any]
    http: httpx.AsyncClient

    async def ask(self, method: str, path: str, token: str | None = None, **rest: Any) -> httpx.Response:
        """A request with the owner's token, or another."""
        headers = {"authorization": f"Bearer {token or self.told['access_token']}"}
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **rest)

    async def anonymous(self, path: str, body: object) -> httpx.Response:
        """A POST without a token, as the gateway passes it on for the tenant's host."""
        return await self.http.post(f"/api/v1{path}", json=body, headers={"x-millrace-tenant": str(self.id)})

    async def add(self, role: str, email: str | None = None) -> dict[str, Any]:
        """A new user with a role by slug, as the API shows it."""
        person = {"email": email or f"{role}-{uuid4().hex[:8]}@example.com", "name": role, "password": PASSWORD}
        response = await self.ask("POST", "/users", json=person | {"roles": [role]})
        assert response.status_code == 201, response.text
        return dict(response.json())

    async def sign_in(self, email: str, password: str = PASSWORD) -> dict[str, Any]:
        """The answer to a login that succeeds."""
        response = await self.anonymous("/auth/login", {"email": email, "password": password})
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def token_of(self, role: str) -> str:
        """The access token of a new user with a role."""
        return str((await self.sign_in((await self.add(role))["email"]))["access_token"])

    async def role(self, slug: str) -> dict[str, Any]:
        """A role by its slug."""
        items = (await self.ask("GET", "/roles")).json()["items"]
        return next(dict(item) for item in items if item["slug"] == slug)


def settings(database: Database, nats_url: str, redis_url: str, **others: Any) -> Settings:
    """Settings with the cheapest hashes that argon2 allows."""
    given: dict[str, Any] = {
        "argon2_time_cost": 1,
        "argon2_memory_kib": 8,
        "signing_key_secret": SECRET,
        **others,
    }
    return Settings(port=0, database_url=database.dsn("auth"), nats_url=nats_url, redis_url=redis_url, **given)


async def sign_up(http: httpx.AsyncClient, slug: str | None = None) -> Tenant:
    """Signs a new tenant up."""
    name = slug or f"t{uuid4().hex[:12]}"
    email = f"owner@{name}.example.com"
    body = {"organization": "Acme", "slug": name, "email": email, "password": PASSWORD, "name": "Olga Owner"}
    response = await http.post("/api/v1/auth/signup", json=body)
    assert response.status_code == 201, response.text
    told = response.json()
    return Tenant(UUID(told["organization"]["id"]), name, email, told, http)


class Heard:
    """Every event that was published since this began to listen."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []

    async def note(self, message: Msg) -> None:
        """Takes a message of the stream."""
        self._events.append(msgspec.json.decode(message.data))

    def of(self, tenant_id: UUID, type_: str) -> list[dict[str, Any]]:
        """The data of a tenant's events of one type so far, in order."""
        return [e["data"] for e in self._events if e["type"] == type_ and e["tenantid"] == str(tenant_id)]

    async def wait(self, tenant_id: UUID, type_: str, count: int = 1) -> list[dict[str, Any]]:
        """The same, as soon as there are that many."""

        async def enough() -> bool:
            return len(self.of(tenant_id, type_)) >= count

        await eventually(enough)
        return self.of(tenant_id, type_)


class Mailbox:
    """The mails in a folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def of(self, address: str) -> list[EmailMessage]:
        """Those to an address, oldest first."""
        files = sorted(self.directory.glob("*.eml"))
        parsed = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
        return [message for message in parsed if message["To"] == address]

    async def wait(self, address: str, count: int = 1) -> EmailMessage:
        """The newest of that many to an address."""

        async def enough() -> bool:
            return len(self.of(address)) >= count

        await eventually(enough)
        return self.of(address)[-1]

    async def token(self, address: str, count: int = 1) -> str:
        """The token of the link in that mail."""
        found = re.search(r"[?&]token=(\S+)", (await self.wait(address, count)).get_content())
        assert found, "a mail without a link"
        return found[1]


def faults(response: httpx.Response) -> dict[str, str]:
    """Pointer and code of each fault of a refusal."""
    assert response.status_code == 422, response.text
    return {fault["pointer"]: fault["code"] for fault in response.json()["errors"]}


def problem(response: httpx.Response) -> tuple[int, str]:
    """Status and type of a problem document."""
    return response.status_code, response.json()["type"].removeprefix("/problems/")

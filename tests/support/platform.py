"""The whole platform, started as `task up` starts it, and a tenant who signed up through its gateway."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from ops.embedded import free_port
from ops.stack import Stack
from ops.stack.home import Home
from tests.support.postgres import PASSWORDS, Database

PASSWORD = "correct horse battery staple 9"
TIMEOUT = 60.0
# Made once: reading the authorities takes longer than a request.
TLS = httpx.create_ssl_context()


@dataclass(frozen=True)
class Platform:
    """A running platform: where its gateway is, and the stack to look behind it or to break it."""

    url: str
    stack: Stack
    database: Database

    def kill(self, process: str) -> None:
        """SIGKILL one process; the supervisor starts it again."""
        self.stack.supervisor.send("KILL", process)


@dataclass(frozen=True)
class Tenant:
    """A tenant and its owner; `client` is signed in and speaks to `/api/v1` of the gateway."""

    id: str
    slug: str
    user: dict[str, Any]
    email: str
    password: str
    access_token: str
    refresh_token: str
    client: httpx.AsyncClient


@contextmanager
def platform(database: Database, root: Path, **environ: str) -> Iterator[Platform]:
    """The five services on this database, with a NATS and a Valkey of their own, until the block ends."""
    home = Home(root)
    home.make()
    secrets = home.root / "secrets"
    secrets.touch(mode=0o600)
    # The roles belong to the whole server, so other tests rely on their passwords.
    secrets.write_text(json.dumps(PASSWORDS))
    given = {**os.environ, "DATABASE_URL": database.admin_dsn, "PORT": str(free_port()), **environ}
    stack = Stack(home, given)
    try:
        plan = stack.up(tied=True)
        yield Platform(plan.gateway_url, stack, database)
    finally:
        stack.reset()


@asynccontextmanager
async def client(url: str, token: str | None = None, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway's `/api/v1`, signed in when there is a token."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers, timeout=TIMEOUT, verify=TLS) as session:
        yield session


@asynccontextmanager
async def signed_up(url: str) -> AsyncIterator[Tenant]:
    """A fresh tenant with its owner."""
    slug = f"t{uuid4().hex[:16]}"
    email = f"owner@{slug}.example.com"
    person = {"organization": f"Tenant {slug}", "slug": slug, "email": email, "password": PASSWORD, "name": "Olga"}
    async with client(url) as anonymous:
        response = await anonymous.post("/auth/signup", json=person)
    assert response.status_code == 201, response.text
    told = response.json()
    async with client(url, told["access_token"]) as session:
        yield Tenant(
            id=told["organization"]["id"],
            slug=slug,
            user=told["user"],
            email=email,
            password=PASSWORD,
            access_token=told["access_token"],
            refresh_token=told["refresh_token"],
            client=session,
        )

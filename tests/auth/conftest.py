"""The auth service in the test's process, on real servers, and a tenant who signed up in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import nats
import pytest

from services.auth.main import build
from services.auth.settings import Settings
from tests.auth.support import Heard, Mailbox, Tenant, settings, sign_up
from tests.support.asgi import running
from tests.support.postgres import Database


@pytest.fixture
def auth_settings(database: Database, nats_url: str, redis_url: str, mailbox: Mailbox) -> Settings:
    """The settings of `http`."""
    return settings(database, nats_url, redis_url, mail_directory=str(mailbox.directory))


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    """The mails that `http` sends."""
    return Mailbox(tmp_path / "mail")


@pytest.fixture
async def heard(nats_url: str) -> AsyncIterator[Heard]:
    """What was published, from before the service starts."""
    heard = Heard()
    client = await nats.connect(nats_url)
    await client.subscribe("evt.>", cb=heard.note)
    await client.flush()
    yield heard
    await client.close()


@pytest.fixture
async def http(auth_settings: Settings, heard: Heard) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running auth service."""
    async with running(build(auth_settings)) as client:
        yield client


@pytest.fixture
async def tenant(http: httpx.AsyncClient) -> Tenant:
    """A tenant who signed up."""
    return await sign_up(http)


@pytest.fixture
async def other(http: httpx.AsyncClient) -> Tenant:
    """Another tenant who signed up."""
    return await sign_up(http)


@pytest.fixture
async def admin(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A superuser's connection, to look behind the service."""
    connection = await asyncpg.connect(database.admin_dsn, server_settings={"search_path": "auth, extensions"})
    yield connection
    await connection.close()

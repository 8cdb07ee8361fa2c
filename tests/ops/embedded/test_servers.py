"""The embedded servers start, answer and end."""

import asyncpg
import nats
import redis.asyncio as redis

from ops.embedded import Nats, Valkey, running
from tests.support.postgres import Database


async def test_a_clone_is_migrated_and_its_roles_can_sign_in(database: Database) -> None:
    """Each service's role reaches its own schema in the test's own database."""
    for service in ("auth", "pipelines", "records", "realtime"):
        connection = await asyncpg.connect(database.dsn(service))
        assert await connection.fetchval("show search_path") == f"{service}, extensions"
        await connection.close()


async def test_jetstream_keeps_a_message(nats_url: str) -> None:
    """A test's NATS server takes and numbers a message for a stream."""
    client = await nats.connect(nats_url)
    stream = client.jetstream()
    await stream.add_stream(name="EVENTS", subjects=["evt.>"])
    assert (await stream.publish("evt.1", b"x")).seq == 1
    await client.close()


async def test_valkey_is_empty_for_each_test(redis_url: str) -> None:
    """A worker's Valkey answers and holds nothing from the test before."""
    client = redis.from_url(redis_url)
    assert await client.dbsize() == 0
    await client.aclose()


async def test_passwords_are_asked_for() -> None:
    """Valkey and NATS started with a password let in who knows it."""
    with running(lambda data, port: Valkey(data, port, "secret")) as valkey:
        client = redis.from_url(valkey.url)
        assert await client.ping()
        await client.aclose()
    with running(lambda data, port: Nats(data, port, "secret")) as server:
        connection = await nats.connect(server.url)
        await connection.flush()
        await connection.close()

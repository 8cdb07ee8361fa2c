"""Who is in which channel, in Redis.

A channel is a hash of connections. The sorted set `presence:nodes` tells when each node was last alive; connections of
a node that has not been so for a lease do not count. Hashes expire when nobody has touched them for an hour.
"""

import time
from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from services.realtime.domain.messages import Person

NODES = "presence:nodes"
KEPT_SECONDS = 3600


class Entry(msgspec.Struct, frozen=True):
    """One connection in a channel, on a node."""

    node: str
    connection: str
    user: Person


async def renew(redis: "Redis", node: str) -> tuple[bool, dict[str, float]]:
    """Says that a node is alive; whether it was known, and when every node last said so (epoch seconds)."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.zadd(NODES, {node: time.time()})
        pipe.zrange(NODES, 0, -1, withscores=True)
        added, nodes = await pipe.execute()
    return not added, {name.decode(): at for name, at in nodes}


async def resign(redis: "Redis", node: str) -> None:
    """Forgets a node."""
    await redis.zrem(NODES, node)


async def join(
    redis: "Redis", tenant_id: UUID, channel: str, entry: Entry, lease_seconds: float | None = None
) -> list[Entry]:
    """Adds a connection. With a lease, the connections of the channel whose nodes were alive within that; else none."""
    key = _key(tenant_id, channel)
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hset(key, entry.connection, cast(Any, msgspec.json.encode(entry)))
        pipe.expire(key, KEPT_SECONDS)
        if lease_seconds is None:
            await pipe.execute()
            return []
        pipe.hvals(key)
        pipe.zrangebyscore(NODES, time.time() - lease_seconds, "+inf")
        _, _, values, nodes = await pipe.execute()
    entries = (msgspec.json.decode(value, type=Entry) for value in values)
    return [entry for entry in entries if entry.node.encode() in nodes]


async def leave(redis: "Redis", tenant_id: UUID, channel: str, connections: Iterable[str]) -> None:
    """Takes connections away."""
    await cast(Any, redis.hdel(_key(tenant_id, channel), *connections))


async def keep(redis: "Redis", channels: Iterable[tuple[UUID, str]]) -> None:
    """Keeps the hashes of channels from expiring."""
    async with redis.pipeline(transaction=False) as pipe:
        for tenant_id, channel in channels:
            pipe.expire(_key(tenant_id, channel), KEPT_SECONDS)
        await pipe.execute()


def _key(tenant_id: UUID, channel: str) -> str:
    return f"presence:{tenant_id}:{channel}"

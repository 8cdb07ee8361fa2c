"""Which fields of a record are held, in Redis: for those who come later to see. What may be written records decides."""

import time
from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from services.realtime.domain.locks import Lock

KEPT_LEASES = 4


async def put(redis: "Redis", tenant_id: UUID, locks: Iterable[tuple[UUID, Lock]], lease_seconds: float) -> None:
    """Keeps locks of records for a lease."""
    until = time.time() + lease_seconds
    async with redis.pipeline(transaction=False) as pipe:
        for record_id, lock in locks:
            key = _key(tenant_id, record_id)
            pipe.hset(key, lock.field, cast(Any, msgspec.json.encode(msgspec.structs.replace(lock, until=until))))
            pipe.expire(key, max(1, round(lease_seconds * KEPT_LEASES)))
        await pipe.execute()


async def remove(redis: "Redis", tenant_id: UUID, record_id: UUID, fields: Iterable[str]) -> None:
    """Takes locks away."""
    await cast(Any, redis.hdel(_key(tenant_id, record_id), *fields))


async def read(redis: "Redis", tenant_id: UUID, record_id: UUID) -> list[Lock]:
    """The locks of a record whose leases run."""
    values = await cast(Any, redis.hvals(_key(tenant_id, record_id)))
    found = [msgspec.json.decode(value, type=Lock) for value in values]
    return [lock for lock in found if lock.until > time.time()]


def _key(tenant_id: UUID, record_id: UUID) -> str:
    return f"locks:{tenant_id}:{record_id}"

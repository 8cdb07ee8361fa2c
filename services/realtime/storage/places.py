"""Which pipelines records are in, in Redis, for all nodes. A record stays in its pipeline, so this is never wrong."""

from typing import cast
from uuid import UUID

from redis.asyncio import Redis

KEPT_SECONDS = 24 * 3600


async def put(redis: "Redis", tenant_id: UUID, record_id: UUID, pipeline_id: UUID) -> None:
    """Notes a record's pipeline."""
    await redis.set(_key(tenant_id, record_id), pipeline_id.bytes, ex=KEPT_SECONDS)


async def get(redis: "Redis", tenant_id: UUID, record_id: UUID) -> UUID | None:
    """A record's pipeline, where it was noted."""
    found = cast("bytes | None", await redis.get(_key(tenant_id, record_id)))
    return UUID(bytes=found) if found else None


def _key(tenant_id: UUID, record_id: UUID) -> str:
    return f"place:{tenant_id}:{record_id}"

"""Which pipelines records are in, as far as nodes were told: so that many who come back ask records nothing."""

from contextlib import suppress
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.realtime.storage import places

REMEMBERED = 50_000


class Places:
    """The memory of a node, and behind it Redis, which outlives the node. Without Redis others have to be asked."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._known: dict[tuple[UUID, UUID], UUID] = {}

    async def find(self, tenant_id: UUID, record_id: UUID) -> UUID | None:
        """The pipeline of a record, where it is known."""
        found = self._known.get((tenant_id, record_id))
        if found is None:
            with suppress(RedisError, OSError):
                found = await places.get(self._redis, tenant_id, record_id)
        if found is not None:
            self._remember(tenant_id, record_id, found)
        return found

    async def keep(self, tenant_id: UUID, record_id: UUID, pipeline_id: UUID) -> None:
        """Notes the pipeline of a record, as records told it."""
        if self._known.get((tenant_id, record_id)) is None:
            self._remember(tenant_id, record_id, pipeline_id)
            with suppress(RedisError, OSError):
                await places.put(self._redis, tenant_id, record_id, pipeline_id)

    def _remember(self, tenant_id: UUID, record_id: UUID, pipeline_id: UUID) -> None:
        if len(self._known) >= REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[tenant_id, record_id] = pipeline_id

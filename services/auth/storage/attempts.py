"""Failed attempts, in Redis for all instances; in this process while Redis is away.

Of who has not failed there is nothing: a look at the counts is all that a sign-in at the first attempt costs.
"""

import time
from collections.abc import Iterable, Sequence

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.auth.domain.attempts import REMEMBER_SECONDS, Counter

AWAY_SECONDS = 2.0
LOCAL_KEYS = 20_000
log = structlog.get_logger()


class Standing(msgspec.Struct, frozen=True):
    """Seconds to wait before the next attempt, 0 when it may be made now; whether any before it `failed`."""

    wait: float
    failed: bool


class Attempts:
    """How often one failed by each counter, and until when one has to wait."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._away_until = float("-inf")
        self._local: dict[str, tuple[int, float]] = {}

    async def wait(self, counters: Sequence[Counter]) -> float:
        """Seconds to wait before the next attempt, 0 when it may be made now."""
        return (await self.standing(counters)).wait

    async def standing(self, counters: Sequence[Counter]) -> Standing:
        """How one stands by all the counters. What cannot be known is taken as failed."""
        here = [self._local[counter.key] for counter in counters if counter.key in self._local]
        until, failed = max((until for _, until in here), default=0.0), True
        if not self._away:
            try:
                counts = await self._get([counter.key for counter in counters])
                failed = any(counts) or bool(here)
                over = [it.key for it, count in zip(counters, counts, strict=True) if count > it.policy.free]
                until = max([until, *await self._get([f"{key}:until" for key in over])])
            except (RedisError, OSError) as error:
                await self._lost(error)
        return Standing(max(0.0, until - time.time()), failed)

    async def failed(self, counters: Iterable[Counter]) -> None:
        """Counts a failure by each counter."""
        for counter in counters:
            if not self._away:
                try:
                    await self._count(counter)
                    continue
                except (RedisError, OSError) as error:
                    await self._lost(error)
            self._count_here(counter)

    async def succeeded(self, counters: Iterable[Counter]) -> None:
        """Forgets the failures before a success."""
        keys = [counter.key for counter in counters if counter.cleared]
        for key in keys:
            self._local.pop(key, None)
        if keys and not self._away:
            try:
                await self._redis.delete(*keys, *(f"{key}:until" for key in keys))
            except (RedisError, OSError) as error:
                await self._lost(error)

    async def _get(self, keys: Sequence[str]) -> list[float]:
        if not keys:
            return []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.get(key)
            return [float(value or 0) for value in await pipeline.execute()]

    @property
    def _away(self) -> bool:
        return time.monotonic() < self._away_until

    async def _count(self, counter: Counter) -> None:
        async with self._redis.pipeline() as pipeline:
            pipeline.incr(counter.key)
            pipeline.expire(counter.key, REMEMBER_SECONDS)
            failures = int((await pipeline.execute())[0])
        if (wait := counter.policy.wait(failures)) > 0:
            await self._redis.set(f"{counter.key}:until", time.time() + wait, ex=int(wait) + 1)

    def _count_here(self, counter: Counter) -> None:
        failures = self._local.pop(counter.key, (0, 0.0))[0] + 1
        if len(self._local) >= LOCAL_KEYS:
            self._local.pop(next(iter(self._local)))
        self._local[counter.key] = (failures, time.time() + counter.policy.wait(failures))

    async def _lost(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        await log.awarning("failed attempts are counted locally", error=repr(error))

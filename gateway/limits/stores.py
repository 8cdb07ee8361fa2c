"""Where the state of limits is kept: Redis, shared by all gateways; or this process, while Redis is away."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.limits.policy import Policy

AWAY_SECONDS = 1.0
LOCAL_KEYS = 50_000
_SCRIPT: Final = (Path(__file__).parent / "gcra.lua").read_text()
log = structlog.get_logger()

Grant = tuple[int, int, float]


class Store(Protocol):
    """Leases requests: how many were granted, how many remain, seconds until the next when none were."""

    async def take(self, policy: Policy, key: str, want: int) -> Grant:
        """Takes up to `want` requests from a key's quota."""


class LocalStore:
    """GCRA in memory, bounded: the keys unused for longest are forgotten first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._arrivals: dict[str, float] = {}

    async def take(self, policy: Policy, key: str, want: int) -> Grant:
        """As the script does it."""
        now, interval = self._clock(), policy.interval / 1e6
        arrival = max(self._arrivals.pop(key, now), now)
        available = max(0, int((policy.burst * interval - (arrival - now)) / interval + 1e-6))
        granted = min(want, available)
        self._arrivals[key] = arrival + granted * interval
        if len(self._arrivals) > LOCAL_KEYS:
            del self._arrivals[next(iter(self._arrivals))]
        wait = 0.0 if granted else arrival - now - (policy.burst - 1) * interval
        return granted, available - granted, wait


class RedisStore:
    """GCRA in Redis by one script; a failure falls back to the local store for a second, then Redis is tried again.

    Time is that of the Redis server, which all gateways share, unless `now` tells it in microseconds.
    """

    def __init__(self, redis: Redis, clock: Callable[[], float], now: Callable[[], int] | None = None) -> None:
        self._now = now
        self._script = redis.register_script(_SCRIPT)
        self._local = LocalStore(clock)
        self._clock = clock
        self._away_until = 0.0

    @property
    def away(self) -> bool:
        """Whether limits are local at present."""
        return self._away_until > self._clock()

    async def take(self, policy: Policy, key: str, want: int) -> Grant:
        """Takes from Redis, or locally."""
        if self.away:
            return await self._local.take(policy, key, want)
        try:
            arguments = [policy.interval, policy.burst, want, *((self._now(),) if self._now else ())]
            granted, remaining, wait = await self._script(keys=[f"limit:{key}"], args=arguments)
        except (RedisError, OSError) as error:
            self._away_until = self._clock() + AWAY_SECONDS
            await log.awarning("rate limits are local, Redis is away", error=repr(error))
            return await self._local.take(policy, key, want)
        return granted, remaining, wait / 1e6

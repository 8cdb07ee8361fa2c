"""Failed attempts, with Redis and without."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from ops.embedded import free_port
from services.auth.domain.attempts import Counter, Policy
from services.auth.storage.attempts import Attempts

POLICY = Policy("test", free=2, longest=60)
ONE, OTHER = Counter(POLICY, "auth:attempts:test:one"), Counter(POLICY, "auth:attempts:test:other")


@pytest.fixture(params=["redis", "local"])
async def attempts(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Attempts]:
    """With a Redis, and with one that is away."""
    redis = Redis.from_url(redis_url if request.param == "redis" else f"redis://127.0.0.1:{free_port()}")
    yield Attempts(redis)
    await redis.aclose()


async def test_after_too_many_failures_one_waits(attempts: Attempts) -> None:
    """And no one else; a success makes an end of it."""
    for _ in range(2):
        await attempts.failed([ONE])
    assert await attempts.wait([ONE]) == 0
    await attempts.failed([ONE])
    await attempts.failed([ONE])
    assert 1 < await attempts.wait([ONE, OTHER]) <= 2
    assert await attempts.wait([OTHER]) == 0
    await attempts.succeeded([ONE])
    assert await attempts.wait([ONE]) == 0


async def test_another_instance_knows(redis_url: str) -> None:
    """Failures are counted for all instances together."""
    async with Redis.from_url(redis_url) as first, Redis.from_url(redis_url) as second:
        for _ in range(3):
            await Attempts(first).failed([ONE])
        assert await Attempts(second).wait([ONE]) > 0


async def test_what_success_does_not_clear_goes_on(attempts: Attempts) -> None:
    """An address that guesses many accounts does not get free by signing in to its own."""
    address = Counter(POLICY, "auth:attempts:test:address", cleared=False)
    for _ in range(3):
        await attempts.failed([address])
    await attempts.succeeded([address])
    assert await attempts.wait([address]) > 0


async def test_keys_in_redis_end(redis_url: str) -> None:
    """Nothing of a failure is kept for ever."""
    async with Redis.from_url(redis_url) as redis:
        for _ in range(3):
            await Attempts(redis).failed([ONE])
        keys = await redis.keys("auth:attempts:*")
        assert len(keys) == 2
        assert all([0 < await redis.ttl(key) <= 12 * 3600 for key in keys])

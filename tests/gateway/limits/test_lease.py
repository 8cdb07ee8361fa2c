"""Limits that hold across gateways, on a real Redis and without one."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway.limits.lease import LEASE_SECONDS, Limiter
from gateway.limits.policy import Policy
from gateway.limits.stores import LocalStore, RedisStore
from libs.common.errors import RateLimited
from ops.embedded import Valkey, running, started
from tests.gateway.support import until_async


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis."""
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


async def admitted(limiters: list[Limiter], key: str, seconds: float) -> int:
    """How many requests get through when all gateways are asked as fast as they answer."""
    end = time.monotonic() + seconds

    async def hammer(limiter: Limiter) -> int:
        count = 0
        while time.monotonic() < end:
            try:
                await limiter.spend(key)
                count += 1
            except RateLimited:
                await asyncio.sleep(0.001)
        return count

    return sum(await asyncio.gather(*(hammer(limiter) for limiter in limiters for _ in range(4))))


class Clock:
    """A time that passes when it is told to, for gateways and Redis alike."""

    def __init__(self) -> None:
        self.micros = 1_000_000_000

    def __call__(self) -> float:
        """Seconds."""
        return self.micros / 1e6

    def limiters(self, policy: Policy, redis: Redis, count: int) -> list[Limiter]:
        """So many gateways."""
        return [Limiter(policy, RedisStore(redis, self, lambda: self.micros), self) for _ in range(count)]


async def drained(limiters: list[Limiter], key: str) -> int:
    """How many requests all gateways together admit at this moment, each asked until it refuses."""
    return sum(await asyncio.gather(*(_spent(limiter, key) for limiter in limiters)))


@pytest.mark.parametrize("policy", [Policy("a", 200, 300), Policy("b", 1000, 100), Policy("c", 5, 10)])
@pytest.mark.parametrize("gateways", [1, 2, 5])
async def test_one_limit_for_all_gateways(redis: Redis, policy: Policy, gateways: int) -> None:
    """In a time t all gateways together admit exactly `burst + rate · t`, however it is divided among them."""
    clock = Clock()
    limiters = clock.limiters(policy, redis, gateways)
    count = await drained(limiters, "someone")
    assert count == policy.burst
    clock.micros += 1  # What is due at a moment is admitted just after it.
    for tick in range(1, 21):
        clock.micros += 50_000
        count += await drained(limiters, "someone")
        assert count == policy.burst + int(policy.rate) * tick // 20


async def test_a_burst_is_saved_up_again(redis: Redis) -> None:
    """After a pause there is as much at once as the time has earned, and never more than the burst."""
    policy, clock = Policy("a", 100, 200), Clock()
    limiters = clock.limiters(policy, redis, 3)
    assert await drained(limiters, "someone") == 200
    for pause, earned in ((1_500_000, 150), (10_000, 1), (9_999, 0), (1, 1), (60_000_000, 200)):
        clock.micros += pause
        assert await drained(limiters, "someone") == earned


async def test_what_was_leased_before_is_the_only_allowance(redis: Redis) -> None:
    """What gateways hold is spent beside what a window admits, at most a lease each, and forfeited after a second."""
    policy, clock = Policy("a", 100, 200), Clock()
    limiters = clock.limiters(policy, redis, 3)
    held = await leased(limiters, redis, clock)
    assert 0 < held <= 3 * policy.lease
    clock.micros += 500_000
    assert await drained(limiters, "someone") == held + 200
    clock.micros += 2_000_000
    assert await leased(limiters, redis, clock) > 0
    clock.micros += int(LEASE_SECONDS * 1e6) + 1
    assert await drained(limiters, "someone") == 200


async def leased(limiters: list[Limiter], redis: Redis, clock: Clock) -> int:
    """How many requests gateways hold after each admitted five of a full quota."""
    for limiter in limiters:
        for _ in range(5):
            await limiter.spend("someone")
        await asyncio.gather(*(lease.renewal for lease in limiter._leases.values() if lease.renewal))
    taken = int(await redis.get("limit:a:someone")) - clock.micros
    return taken // limiters[0].policy.interval - 5 * len(limiters)


async def test_the_time_is_that_of_redis(redis: Redis) -> None:
    """By the server's clock, too, gateways together admit at most `burst + rate · t`, and at least the burst."""
    policy = Policy("a", 200, 300)
    limiters = [Limiter(policy, RedisStore(redis, time.monotonic), time.monotonic) for _ in range(3)]
    started_at = time.monotonic()

    count = await admitted(limiters, "someone", 0.5)
    seconds = time.monotonic() - started_at

    assert policy.burst - len(limiters) * policy.lease <= count <= policy.burst + policy.rate * seconds


async def test_redis_is_seldom_asked(redis: Redis) -> None:
    """A busy principal costs a question per lease, not per request."""
    policy = Policy("a", 1000, 5000)
    limiter = Limiter(policy, RedisStore(redis, time.monotonic), time.monotonic)
    await redis.config_resetstat()
    for _ in range(2000):
        await limiter.spend("someone")

    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] < 40


async def test_keys_do_not_share(redis: Redis) -> None:
    """One principal's use is not another's."""
    limiter = Limiter(Policy("a", 0.1, 2), RedisStore(redis, time.monotonic), time.monotonic)
    for key in ("one", "two"):
        assert [await limiter.spend(key) for _ in range(2)] == [1, 0]
        with pytest.raises(RateLimited) as refusal:
            await limiter.spend(key)
        assert 9 < (refusal.value.retry_after or 0) <= 10


async def test_a_restart_of_redis_is_survived() -> None:
    """Without Redis the limit is kept locally; when it is back, in Redis again."""
    policy = Policy("a", 1, 5)
    with running(lambda data, port: Valkey(data, port, durable=False)) as first:
        redis = Redis.from_url(first.url, socket_timeout=0.25, socket_connect_timeout=0.25)
        store = RedisStore(redis, time.monotonic)
        limiter = Limiter(policy, store, time.monotonic)
        await limiter.spend("someone")
    assert await _spent(limiter, "while away") == 5
    assert store.away
    first.prepare()
    again = started(first)
    try:

        async def is_back() -> bool:
            await store.take(policy, "x", 1)
            return not store.away

        await until_async(is_back)
        assert await _spent(limiter, "afterwards") == 5
        assert await redis.keys("limit:*afterwards")
    finally:
        again.stop()
        await redis.aclose()


async def _spent(limiter: Limiter, key: str) -> int:
    count = 0
    while True:
        try:
            await limiter.spend(key)
        except RateLimited:
            return count
        count += 1


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 20)), min_size=1, max_size=60),
    st.sampled_from([(1.0, 1), (10.0, 5), (100.0, 50), (1 / 6, 10)]),
)
def test_no_window_admits_more_than_burst_and_rate(steps: list[tuple[float, int]], limit: tuple[float, int]) -> None:
    """For any sequence of asks, between any two moments at most `burst + rate · t` are granted."""
    policy = Policy("p", *limit)
    granted = asyncio.run(_taken(policy, steps))
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            total = sum(count for _, count in granted[first : last + 1])
            assert total <= policy.burst + policy.rate * (granted[last][0] - granted[first][0]) + 1e-3


async def _taken(policy: Policy, steps: list[tuple[float, int]]) -> list[tuple[float, int]]:
    now, granted = 0.0, []
    store = LocalStore(lambda: now)
    for pause, want in steps:
        now += pause
        count, _, _ = await store.take(policy, "k", want)
        granted.append((now, count))
    return granted

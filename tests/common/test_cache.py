"""Redis Cluster: what the platform keeps in Redis, on three servers that share the slots."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.limits.lease import Limiter
from gateway.limits.policy import Policy
from gateway.limits.stores import RedisStore
from libs.common import cache
from libs.common.errors import RateLimited
from libs.common.settings import ServiceSettings
from services.auth.domain.attempts import of_account
from services.auth.storage.attempts import Attempts
from services.realtime.domain.messages import Person
from services.realtime.storage import presence, tickets
from services.realtime.storage.presence import Entry
from tests.support.clusters import ValkeyCluster, valkey_cluster
from tests.support.waiting import eventually, until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cluster() -> Iterator[ValkeyCluster]:
    """Three servers."""
    with valkey_cluster() as made:
        yield made


@pytest.fixture
async def redis(cluster: ValkeyCluster) -> AsyncIterator[Redis]:
    """A client as every process makes it."""
    given = ServiceSettings(port=0, redis_url=cluster.url, redis_cluster="on", nats_url="")
    client = cache.connect(given, 0.5)
    yield client
    await client.aclose()


async def test_a_limit_holds_across_gateways(redis: Redis) -> None:
    """Two gateways together admit what the policy allows at once, for keys on every server."""
    policy = Policy("test", 0.001, 20)
    for key in range(6):
        limiters = [Limiter(policy, RedisStore(redis, time.monotonic), time.monotonic) for _ in range(2)]
        admitted = 0
        for limiter in limiters * 20:
            try:
                await limiter.spend(f"{key}")
                admitted += 1
            except RateLimited:
                continue
        assert 20 - policy.lease <= admitted <= 20


async def test_a_ticket_is_redeemed_once(redis: Redis) -> None:
    """Of those who redeem a ticket at the same time one gets the token."""
    issued = [await tickets.issue(redis, f"token {number}", 30) for number in range(9)]
    told = await asyncio.gather(*(tickets.redeem(redis, ticket) for ticket in issued * 3))
    assert sorted(token for token in told if token) == [f"token {number}" for number in range(9)]


async def test_presence_is_the_same_for_all(redis: Redis) -> None:
    """Who entered channels that lie on different servers is seen there, as long as the node says that it is alive."""
    tenant, node, away = uuid4(), str(uuid4()), str(uuid4())
    channels = [f"record:{uuid4()}" for _ in range(9)]
    await presence.renew(redis, node)
    other = Entry(away, "other", Person(uuid4(), "Bob"))
    for channel in channels:
        await presence.join(redis, tenant, channel, Entry(node, channel, Person(uuid4(), "Ada")))
    await presence.keep(redis, [(tenant, channel) for channel in channels])
    seen = [[one.connection for one in await presence.join(redis, tenant, channel, other, 15)] for channel in channels]
    assert seen == [[channel] for channel in channels]

    await presence.leave(redis, tenant, channels[0], [channels[0]])
    assert await presence.join(redis, tenant, channels[0], other, 15) == []


async def test_failed_attempts_are_counted_for_all(redis: Redis) -> None:
    """The wait after failures counted by one instance holds in another, and ends with a success."""
    counters = of_account(uuid4(), "ada@example.com", "192.0.2.1")
    first, second = Attempts(redis), Attempts(redis)
    for _ in range(7):
        await first.failed(counters)
    assert await second.wait(counters) > 0
    await second.succeeded(counters)
    assert await first.wait(counters) == 0


async def test_a_lost_server_is_a_redis_error_and_comes_back(redis: Redis, cluster: ValkeyCluster) -> None:
    """While a third of the slots is away what needs them fails as when Redis is away, and works when it is back."""
    victim = cluster.members[1]
    keys = [f"key {number}" for number in range(30)]
    for key in keys:
        await redis.set(key, key)
    victim.kill()
    with pytest.raises((RedisError, OSError)):
        await _one_by_one(redis, keys)
    with pytest.raises((RedisError, OSError)):
        await _together(redis, keys)
    victim.start()
    until(cluster.whole)

    async def back() -> bool:
        try:
            for key in keys:
                await redis.set(key, key, ex=60)
        except (RedisError, OSError):
            return False
        return True

    await eventually(back)


async def _one_by_one(redis: Redis, keys: list[str]) -> None:
    for key in keys:
        await redis.get(key)


async def _together(redis: Redis, keys: list[str]) -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.get(key)
        await pipe.execute()

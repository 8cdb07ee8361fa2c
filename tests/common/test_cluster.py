"""The bus on a NATS cluster of three."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from libs.common import events
from libs.common.bus import Bus, Outgoing
from libs.common.errors import Unavailable
from tests.support.clusters import NatsCluster, nats_cluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def cluster() -> Iterator[NatsCluster]:
    """Three servers."""
    with nats_cluster() as made:
        yield made


@asynccontextmanager
async def _bus(cluster: NatsCluster, replicas: int) -> AsyncIterator[Bus]:
    bus = Bus(cluster.url, "test", replicas=replicas)
    await bus.start()
    try:
        await bus.ready()
        yield bus
    finally:
        await bus.stop()


async def _replicas(bus: Bus) -> int | None:
    return (await bus.jetstream.stream_info(events.STREAM)).config.num_replicas


async def _publish(bus: Bus, count: int) -> None:
    messages = [Outgoing(f"evt.{uuid4()}.records.record.created", b"{}", str(uuid4())) for _ in range(count)]

    async def published() -> bool:
        try:
            await bus.publish(messages)
        except Unavailable:
            return False
        return True

    await eventually(published)


async def test_a_stream_is_spread_and_outlives_its_leader(cluster: NatsCluster) -> None:
    """A stream gets three replicas when a process wants them, and what was published outlives its leader's end.

    It is there once, under numbers that go on.
    """
    async with _bus(cluster, 1) as bus:
        assert await _replicas(bus) == 1
    async with _bus(cluster, 3) as bus, _bus(cluster, 1):
        assert await _replicas(bus) == 3
        await _publish(bus, 10)
        made = (await bus.jetstream.stream_info(events.STREAM)).created
        leader = await _leader(bus)
        victim = cluster.members[int(leader.removeprefix("nats-"))]
        victim.kill()
        await _publish(bus, 10)

        async def led() -> bool:
            try:
                return await _leader(bus) != leader
            except (NatsError, APIError, Unavailable, TimeoutError):
                return False

        await eventually(led)
        info = await bus.jetstream.stream_info(events.STREAM)
        assert (info.state.messages, info.state.last_seq, info.created) == (20, 20, made)
        assert bus.position == 20


async def _leader(bus: Bus) -> str:
    cluster = (await bus.jetstream.stream_info(events.STREAM)).cluster
    assert cluster is not None
    return cluster.leader or ""

"""Two processes of each service, three NATS servers: the journeys hold, and any one of them may die."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import nats
import pytest
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from libs.common import events
from millrace.client import Live
from millrace.client.live import Frame
from ops.embedded import Postgres
from tests.faults.watching import Watcher, Writers, announced_all
from tests.journeys.crm import make_pipeline, text
from tests.journeys.test_idempotency import *  # noqa: F403
from tests.journeys.test_live import *  # noqa: F403
from tests.journeys.test_suspension import *  # noqa: F403
from tests.support import platform, postgres
from tests.support.clusters import NatsCluster, nats_cluster
from tests.support.fixtures import ENVIRONMENT, _run
from tests.support.platform import Platform, Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.fault

PROCESSES = "auth:2,records:2,realtime:2"
NODES = ("realtime", "realtime-2")
WATCHERS = 6
WRITTEN = 25
SOCKETS = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[NatsCluster]:
    """Three NATS servers."""
    with nats_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def stack(
    cluster: NatsCluster, database_template: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """A platform of two processes each behind one gateway, on the cluster."""
    database = _run(postgres.clone(database_template))
    given = {**ENVIRONMENT, "NATS_URL": cluster.url, "STREAM_REPLICAS": "3", "PROCESSES": PROCESSES}
    try:
        with platform.platform(database, tmp_path_factory.mktemp("several"), **given) as running:
            yield running
    finally:
        _run(postgres.drop(database))


@pytest.fixture
async def tenant(stack: Platform) -> AsyncIterator[Tenant]:
    """A fresh tenant on it."""
    async with platform.signed_up(stack.url) as fresh:
        yield fresh


@pytest.fixture
async def other_tenant(stack: Platform) -> AsyncIterator[Tenant]:
    """A second fresh tenant on it."""
    async with platform.signed_up(stack.url) as fresh:
        yield fresh


@pytest.mark.parametrize("victim", [*NODES, 0, 1, 2])
async def test_no_subscriber_misses_a_change(
    stack: Platform, cluster: NatsCluster, tenant: Tenant, victim: str | int
) -> None:
    """Writers write, a realtime node or a NATS server is killed: all on both nodes hear each change once, in order.

    In order is by its sequence number; the stream has each change once as well. Who was on a node that is killed comes
    back at a moment of its own, and not before.
    """
    await _whole(cluster)
    pipeline = await make_pipeline(tenant.client, "Written", text("name"))
    writers = Writers(tenant, pipeline)
    watchers = [Watcher(stack.url, tenant, pipeline, seed) for seed in range(WATCHERS)]
    async with AsyncExitStack() as work:
        for watcher in watchers:
            await work.enter_async_context(watcher.at_work())
        async with writers.at_work():
            await writers.more(WRITTEN)
            with _killed(stack, cluster, victim):
                await writers.more(WRITTEN)
        acknowledged = set(writers.acknowledged)

        async def all_heard() -> bool:
            return all(acknowledged <= set(watcher.heard) for watcher in watchers)

        await eventually(all_heard)
    found = await announced_all(stack.stack, tenant, pipeline, acknowledged)
    assert set(found.values()) == {1}
    for watcher in watchers:
        assert set(watcher.heard.values()) == {1}
        assert all(away >= pause for pause, away in watcher.breaks)
    if isinstance(victim, str):
        came_back = [watcher.breaks[1][0] for watcher in watchers if len(watcher.breaks) > 1]
        assert came_back
        assert len(set(came_back)) == len(came_back)


async def test_a_node_that_ends_spreads_the_rush(stack: Platform, tenant: Tenant) -> None:
    """Sockets are spread over the nodes, and those of a node that ends are told moments all over ten seconds."""

    async def both_well() -> bool:
        status = (await tenant.client.get("/status")).json()
        return bool(status["services"]["realtime"]["instances"]["ok"] == len(NODES))

    await eventually(both_well)
    async with AsyncExitStack() as work:
        sockets = [await work.enter_async_context(Live.open(stack.url, tenant.access_token)) for _ in range(SOCKETS)]
        stack.stack.supervisor.send("TERM", NODES[1])
        hints = [work.enter_context(_cancelled(live.expect("reconnect"))) for live in sockets]

        async def many() -> bool:
            return sum(hint.done() for hint in hints) >= SOCKETS // 3

        await eventually(many)
        moments = sorted(hint.result()["after_ms"] for hint in hints if hint.done())
    assert len(moments) < SOCKETS
    assert moments[0] < 5_000 < moments[-1] < 10_000
    assert len({moment // 1000 for moment in moments}) >= 4


@contextmanager
def _cancelled(work: Coroutine[Any, Any, Frame]) -> Iterator[asyncio.Task[Frame]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()


@contextmanager
def _killed(stack: Platform, cluster: NatsCluster, victim: str | int) -> Iterator[None]:
    """A process is killed, and back after the block at the latest."""
    if isinstance(victim, str):
        stack.kill(victim)
        yield
        return
    cluster.members[victim].kill()
    try:
        yield
    finally:
        cluster.members[victim].start()


async def _whole(cluster: NatsCluster) -> None:
    """Waits until every server has the whole stream."""
    client = await nats.connect(cluster.url.split(","))

    async def current() -> bool:
        try:
            info = await client.jetstream().stream_info(events.STREAM)
        except (NatsError, APIError, TimeoutError):
            return False
        replicas = (info.cluster.replicas if info.cluster else None) or []
        return len(replicas) == len(cluster.members) - 1 and all(one.current and not one.offline for one in replicas)

    try:
        await eventually(current)
    finally:
        await client.close()

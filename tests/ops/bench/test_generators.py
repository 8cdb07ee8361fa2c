"""The benchmark's own processes count what really happens."""

import asyncio
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops.bench import requests, sockets
from ops.bench.listeners import Listen
from ops.bench.requests import BenchFailed, Side, request
from ops.bench.stage import Stage
from ops.embedded import Process, free_port, spawn
from ops.stack import readiness
from ops.stack.home import PROJECT
from tests.support.postgres import Database

pytestmark = pytest.mark.integration


@pytest.fixture
def bare(database: Database, tmp_path: Any) -> Iterator[int]:
    """The bare application, on a port of its own."""
    port = free_port()
    environ = {"PORT": str(port), "DATABASE_URL": database.admin_dsn}
    command = (sys.executable, "-m", "ops.bench.bare")
    spawned = spawn(Process("bare", command, PROJECT, environ, inherit=True), tmp_path)
    try:
        spawned.wait_ready(lambda: readiness.ask(port, "/api/")[0] == 200)
        yield port
    finally:
        spawned.stop()


async def test_a_run_counts_the_answers(bare: int) -> None:
    """Requests are answered and counted, and the generator is far from being the limit."""
    result = await asyncio.to_thread(requests.run, Side(bare, [request("GET", "/api/trivial")]))
    assert set(result.statuses) == {200}
    assert result.rate > 100
    assert 0 < result.p50_ms <= result.p99_ms


async def test_a_run_of_refusals_is_no_measurement(bare: int) -> None:
    """Answers that are errors end the benchmark instead of making a figure."""
    with pytest.raises(BenchFailed, match="500"):
        await asyncio.to_thread(requests.run, Side(bare, [request("GET", "/none/read/none")]))


async def test_the_listeners_count_every_delivery(bare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each frame to each socket is counted once, however the bytes were cut on the way."""
    monkeypatch.setattr(sockets, "SOCKETS", 20)
    heard = await sockets._bare(cast(Stage, SimpleNamespace(bare=bare)), 700)
    assert [one.deliveries for one in heard] == [20 * sockets.FRAMES] * sockets.BURSTS
    assert all(690 < one.size < 720 for one in heard)


async def test_sockets_that_cannot_be_opened_are_told() -> None:
    """Where nobody listens, the measurement fails instead of waiting."""
    with pytest.raises(BenchFailed):
        async with sockets.Listeners.open(Listen(free_port(), "/", 1, [], 0)):
            pass

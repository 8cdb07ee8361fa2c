"""A thousand people at work, and ten thousand who only listen, or come back all at once."""

import asyncio
import time

import psutil

from ops.bench import returning
from ops.bench.figures import Figure
from ops.bench.filling import fill
from ops.bench.listeners import Listen
from ops.bench.requests import BenchFailed
from ops.bench.sockets import Listeners, opening
from ops.bench.stage import Stage

SUBSCRIBERS = 1000
BOARDS = 4
CARDS = 25
CHANGES = 100  # a second
SECONDS = 8
IDLE = 10_000


async def measure(stage: Stage) -> list[Figure]:
    """The idle sockets first, while the worker has no memory to use again."""
    return [await _idle(stage), await _delay(stage), *await returning.measure(stage)]


async def _delay(stage: Stage) -> Figure:
    """From before the commit to the client, while changes come steadily; each goes to a quarter of the subscribers."""
    boards = [await _board(stage, number) for number in range(BOARDS)]
    frames = [opening(stage, f"pipeline:{board}") for board, _ in boards]
    listen = Listen(stage.plan.ports["realtime"], "/api/v1/ws", SUBSCRIBERS, frames, 1, timed=True)
    deliveries = CHANGES * SECONDS * SUBSCRIBERS // BOARDS
    async with Listeners.open(listen) as listeners:
        heard = await listeners.hear(lambda: _change(stage, boards), deliveries)
    note = f"{CHANGES} changes/s, each to {SUBSCRIBERS // BOARDS}: {heard.deliveries / heard.seconds:,.0f} deliveries/s"
    return Figure(f"commit to client, p95 of {SUBSCRIBERS:,} sockets", heard.p95_ms, "ms", most=50, note=note)


async def _board(stage: Stage, number: int) -> tuple[str, list[str]]:
    fields = [{"name": "subject", "type": "text"}]
    body = {"name": f"Board {number}", "slug": f"board-{number}", "schema_definition": {"fields": fields}}
    made = await stage.api.post("/pipelines", body)
    return made["id"], await fill(stage, made["id"], [{"subject": f"Card {card}"} for card in range(CARDS)])


async def _change(stage: Stage, boards: list[tuple[str, list[str]]]) -> None:
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(CHANGES * SECONDS):
            await asyncio.sleep(max(0.0, started + number / CHANGES - time.perf_counter()))
            board, cards = boards[number % BOARDS]
            path = f"/pipelines/{board}/records/{cards[number // BOARDS % CARDS]}"
            group.create_task(stage.api.patch(path, {"data": {"subject": f"Change {number}"}}))


async def _idle(stage: Stage) -> Figure:
    """Resident memory of one worker per authenticated socket, beside that of a bare one."""
    ours = await _memory(stage.plan.ports["realtime"], "/api/v1/ws", [opening(stage, "tenant")], 1)
    bare = await _memory(stage.bare, "/", [], 0)
    return Figure(f"memory of each of {IDLE:,} idle sockets", ours, "KB", bare, most=50, note="one worker")


async def _memory(port: int, path: str, frames: list[list[str]], answers: int) -> float:
    before = _resident(port)
    async with Listeners.open(Listen(port, path, IDLE, frames, answers)):
        return (_resident(port) - before) / IDLE


def _resident(port: int) -> float:
    """Kilobytes of the process that listens on a port."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            return float(psutil.Process(connection.pid).memory_info().rss) / 1024
    raise BenchFailed(f"nobody listens on port {port}")

"""A definition changes under 100,000 records, while one client reads them and another writes them.

A type changes, a field becomes unique, another gets its index; what counts is the longest that anybody waits.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from ops.bench.figures import Figure
from ops.bench.filling import fill, settle
from ops.bench.requests import BenchFailed
from ops.bench.stage import Stage

RECORDS = 100_000
_BATCH = 5_000
_BEFORE = 3.0
_WAIT = 600.0
_PAUSE = 0.01
_FIELDS = [{"name": name, "type": "text"} for name in ("name", "size", "code", "place")]
_WANTED = [
    {"name": "size", "type": "number", "indexed": True},
    {"name": "code", "type": "text", "unique": True},
    {"name": "place", "type": "text", "indexed": True},
]


@dataclass(frozen=True)
class _Waits:
    """How long single requests took, in milliseconds."""

    reads: list[float]
    writes: list[float]


async def measure(stage: Stage, records: int = RECORDS) -> list[Figure]:
    """The worst read and write during an apply, beside the worst before it, and how long plan and job take."""
    made = await stage.api.post("/pipelines", {"name": "Bench schema", "schema_definition": {"fields": _FIELDS}})
    ids = await fill(stage, made["id"], [_row(n) for n in range(records)], _BATCH)
    await settle(stage)
    await _each(stage, made["id"], ids, _for(_BEFORE / 3))
    before = await _each(stage, made["id"], ids, _for(_BEFORE))
    started = time.perf_counter()
    plan = await stage.api.post(f"/pipelines/{made['id']}/schema/plan", {"fields": _WANTED})
    planned = time.perf_counter() - started
    seconds = 0.0

    async def apply() -> None:
        nonlocal seconds
        began = time.perf_counter()
        job = await stage.api.post(f"/pipelines/{made['id']}/schema/apply", {"plan_id": plan["plan_id"]})
        await _ended(stage, job["id"])
        seconds = time.perf_counter() - began

    during = await _each(stage, made["id"], ids, apply)
    return [
        _worst("worst read while a definition is applied", during.reads, before.reads),
        _worst("worst write while a definition is applied", during.writes, before.writes),
        Figure("plan over 100,000 records", planned, "s", most=15),
        Figure("apply to 100,000 records", seconds, "s", note="type, unique, two indexes"),
    ]


def _worst(name: str, during: list[float], before: list[float]) -> Figure:
    tail = quantiles(during, n=100)[98]
    return Figure(name, max(during), "ms", max(before), most=100, note=f"p99 {tail:.1f} ms of {len(during)}")


def _row(n: int) -> dict[str, Any]:
    return {"name": f"Record {n}", "size": str(n), "code": f"C{n}", "place": f"Place {n % 997}"}


def _for(seconds: float) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        await asyncio.sleep(seconds)

    return wait


async def _each(stage: Stage, pipeline: str, ids: list[str], work: Callable[[], Awaitable[None]]) -> _Waits:
    """Reads and writes by turns, each on a connection of its own, until the work is done."""
    over, waits, rng = asyncio.Event(), _Waits([], []), random.Random(7)
    path = f"/pipelines/{pipeline}/records"

    async def repeat(ask: Callable[[str], Awaitable[Any]], found: list[float]) -> None:
        while not over.is_set():
            began = time.perf_counter()
            await ask(f"{path}/{rng.choice(ids)}")
            found.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(_PAUSE)

    async def write(record: str) -> None:
        await stage.api.patch(record, {"data": {"name": f"Record {rng.random()}"}})

    clients = [
        asyncio.create_task(repeat(stage.api.get, waits.reads)),
        asyncio.create_task(repeat(write, waits.writes)),
    ]
    try:
        await work()
    finally:
        over.set()
        await asyncio.gather(*clients)
    return waits


async def _ended(stage: Stage, job: str) -> None:
    until = time.monotonic() + _WAIT
    while time.monotonic() < until:
        jobs = await stage.api.get("/jobs", {"kind": "schema", "limit": 5})
        found = next((it for it in jobs["items"] if it["id"] == job), None)
        if found is not None and found["state"] in ("done", "failed", "cancelled"):
            if found["state"] != "done":
                raise BenchFailed(f"the definition was not applied: {found}")
            return
        await asyncio.sleep(0.25)
    raise BenchFailed(f"the definition was not applied within {_WAIT:.0f} s")

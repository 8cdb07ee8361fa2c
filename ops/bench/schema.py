"""A definition changes under 100,000 records, while one client reads them and another writes them.

A type changes, a field becomes unique, another gets its index; what counts is the longest that anybody waits, beside
the longest that others wait meanwhile for plain SQL by the bare application.
"""

import asyncio
import gc
import random
import time
from collections.abc import Awaitable
from statistics import quantiles
from typing import Any, Self

from ops.bench.figures import Figure
from ops.bench.filling import fill, settle
from ops.bench.requests import BenchFailed
from ops.bench.stage import Stage

RECORDS = 100_000
_BATCH = 5_000
_BEFORE = 3.0
_WAIT = 600.0
_PAUSE = 0.01
_PAUSE_OF_BARE = 0.05
_FIELDS = [{"name": name, "type": "text"} for name in ("name", "size", "code", "place")]
_WANTED = [
    {"name": "size", "type": "number", "indexed": True},
    {"name": "code", "type": "text", "unique": True},
    {"name": "place", "type": "text", "indexed": True},
]


class _Clients:
    """Who reads and writes, each on a connection of their own; what they wait is in milliseconds."""

    def __init__(self, stage: Stage, pipeline: str, ids: list[str], plain: list[str]) -> None:
        self._api = stage.api
        self._rng = random.Random(7)
        self._over = asyncio.Event()
        ours, bare = f"/pipelines/{pipeline}/records", f"http://127.0.0.1:{stage.bare}/{stage.tenant}"
        self.reads: list[float] = []
        self.writes: list[float] = []
        self.bare_reads: list[float] = []
        self.bare_writes: list[float] = []
        self._all = [
            self._repeat("GET", ours, ids, self.reads, _PAUSE),
            self._repeat("PATCH", ours, ids, self.writes, _PAUSE),
            self._repeat("GET", f"{bare}/read", plain, self.bare_reads, _PAUSE_OF_BARE),
            self._repeat("PATCH", f"{bare}/patch", plain, self.bare_writes, _PAUSE_OF_BARE),
        ]

    async def _repeat(self, method: str, path: str, ids: list[str], waits: list[float], pause: float) -> None:
        while not self._over.is_set():
            body = {"data": {"name": f"Record {self._rng.random()}"}} if method == "PATCH" else None
            began = time.perf_counter()
            await self._api.ask(method, f"{path}/{self._rng.choice(ids)}", body)
            waits.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(pause)

    async def while_done(self, work: Awaitable[None]) -> Self:
        """Keeps on asking until something is done; once."""
        clients = [asyncio.create_task(one) for one in self._all]
        try:
            await work
        finally:
            self._over.set()
            await asyncio.gather(*clients)
        return self


async def measure(stage: Stage, records: int = RECORDS) -> list[Figure]:
    """The worst read and write during an apply, and how long plan and job take."""
    plain = [note["id"] async for note in stage.api.pages(f"/pipelines/{stage.pipelines['notes']}/records")]
    made = await stage.api.post("/pipelines", {"name": "Bench schema", "schema_definition": {"fields": _FIELDS}})
    ids = await fill(stage, made["id"], [_row(n) for n in range(records)], _BATCH)
    await settle(stage)
    gc.freeze()  # Else the client would wait for itself: a full collection walks all ids, for 50 ms and more.

    async def meanwhile(work: Awaitable[None]) -> _Clients:
        return await _Clients(stage, made["id"], ids, plain).while_done(work)

    await meanwhile(asyncio.sleep(_BEFORE / 3))
    before = await meanwhile(asyncio.sleep(_BEFORE))
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

    during = await meanwhile(apply())
    return [
        _worst("worst read while a definition is applied", during.reads, during.bare_reads, before.reads),
        _worst("worst write while a definition is applied", during.writes, during.bare_writes, before.writes),
        Figure("plan over 100,000 records", planned, "s", most=15),
        Figure("apply to 100,000 records", seconds, "s", note="type, unique, two indexes"),
    ]


def _worst(name: str, during: list[float], bare: list[float], before: list[float]) -> Figure:
    tail = quantiles(during, n=100)[98]
    note = f"p99 {tail:.0f} ms of {len(during)}; {max(before):.0f} ms before it"
    return Figure(name, max(during), "ms", max(bare), most=100, note=note)


def _row(n: int) -> dict[str, Any]:
    return {"name": f"Record {n}", "size": str(n), "code": f"C{n}", "place": f"Place {n % 997}"}


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

"""Many records at once: a batch, an import, an export; beside one COPY of the same rows, and what memory they take.

With `BENCH_MILLION=1` a million rows are imported and exported instead of fifty thousand.
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import httpx
import msgspec

from ops.bench.figures import Figure
from ops.bench.requests import BenchFailed
from ops.bench.stage import Stage

BATCH = 10_000
BATCHES = 2
ROWS = 1_000_000 if os.environ.get("BENCH_MILLION") else 50_000
_WAIT = 1_200.0
_MIB = 1024 * 1024
_RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)", re.MULTILINE)
_FIELDS = [
    {"name": "name", "type": "text", "required": True, "searchable": True},
    {"name": "email", "type": "email", "unique": True},
    {"name": "score", "type": "number", "indexed": True},
    {"name": "stage", "type": "select", "options": [{"value": "new"}, {"value": "won"}]},
]
_TABLE = """
create table bench.bulk (
    tenant_id uuid not null, id uuid primary key default uuidv7(), version bigint not null, title text not null,
    data jsonb not null, created_at timestamptz not null default now()
)
"""


async def measure(stage: Stage) -> list[Figure]:
    """Records per second of each, and how much the records process grew."""
    body = {"name": "Bench bulk", "schema_definition": {"fields": _FIELDS}}
    path = f"/pipelines/{(await stage.api.post('/pipelines', body))['id']}"
    copied = await _copied(stage)
    batch = await _batches(stage, path)
    before = await _resident(stage)
    imported = await _imported(stage, path)
    between = await _resident(stage)
    exported = await _exported(stage, path)
    after = await _resident(stage)
    return [
        Figure("batch create", batch, "records/s", base=copied, least=5_000, note=f"{BATCH:,} in a request"),
        Figure("import", imported, "rows/s", base=copied, least=5_000, note=f"{ROWS:,} rows of CSV; bare: COPY"),
        Figure("export", exported, "records/s", note="CSV, streamed"),
        Figure("memory of records after the import", between, "MiB", base=before, note="base: before it"),
        Figure("memory of records after the export", after, "MiB", base=between, note="base: before it"),
    ]


def _row(kind: str, number: int) -> dict[str, Any]:
    email = f"{kind}{number}@bulk.example"
    return {"name": f"Bulk {kind} {number}", "email": email, "score": number % 1000, "stage": "new"}


async def _copied(stage: Stage) -> float:
    connection = await asyncpg.connect(stage.plan.admin_url)
    try:
        await connection.execute(_TABLE)
        rows = [(stage.tenant, 1, "", msgspec.json.encode(_row("copy", n)).decode()) for n in range(50_000)]
        started = time.perf_counter()
        names = ["tenant_id", "version", "title", "data"]
        await connection.copy_records_to_table("bulk", schema_name="bench", records=rows, columns=names)
        return len(rows) / (time.perf_counter() - started)
    finally:
        await connection.close()


async def _batches(stage: Stage, path: str) -> float:
    seconds = 0.0
    for batch in range(BATCHES):
        numbers = range(batch * BATCH, (batch + 1) * BATCH)
        operations = [{"op": "create", "data": _row("batch", number)} for number in numbers]
        started = time.perf_counter()
        answer = await stage.api.post(f"{path}/records/batch", {"operations": operations})
        seconds += time.perf_counter() - started
        if answer["created"] != BATCH:
            raise BenchFailed(f"a batch made {answer['created']} of {BATCH} records")
    return BATCH * BATCHES / seconds


async def _imported(stage: Stage, path: str) -> float:
    headers = {"Authorization": f"Bearer {stage.api.token}", "Content-Type": "text/csv"}
    started = time.perf_counter()
    response = await stage.api.http.post(f"{path}/imports", content=_lines(), headers=headers)
    if response.status_code != httpx.codes.ACCEPTED:
        raise BenchFailed(f"an import was answered with {response.status_code}: {response.text}")
    job = await _ended(stage, response.json()["id"])
    if job["created"] != ROWS:
        raise BenchFailed(f"an import made {job['created']} of {ROWS} records: {job}")
    return ROWS / (time.perf_counter() - started)


async def _lines() -> AsyncIterator[bytes]:
    for line in _pieces():
        yield line.encode()


def _pieces() -> Iterator[str]:
    yield "name,email,score,stage\n"
    for begin in range(0, ROWS, 1_000):
        rows = (_row("import", number) for number in range(begin, begin + 1_000))
        yield "".join(",".join(map(str, row.values())) + "\n" for row in rows)


async def _ended(stage: Stage, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(_WAIT):
        while True:
            job: dict[str, Any] = await stage.api.get(f"/jobs/{job_id}")
            if job["state"] not in ("queued", "running"):
                return job
            await asyncio.sleep(0.1)


async def _exported(stage: Stage, path: str) -> float:
    headers = {"Authorization": f"Bearer {stage.api.token}"}
    lines, started = -1, time.perf_counter()
    async with stage.api.http.stream("GET", f"{path}/exports", headers=headers) as response:
        async for piece in response.aiter_bytes():
            lines += piece.count(b"\n")
    if lines != ROWS + BATCH * BATCHES:
        raise BenchFailed(f"an export had {lines} of {ROWS + BATCH * BATCHES} records")
    return lines / (time.perf_counter() - started)


async def _resident(stage: Stage) -> float:
    """What the records process holds in memory, in MiB."""
    async with httpx.AsyncClient(base_url=stage.plan.url("records")) as client:
        text = (await client.get("/metrics")).text
    found = _RESIDENT.search(text)
    if found is None:
        raise BenchFailed("the records service does not tell its memory")
    return float(found[1]) / _MIB

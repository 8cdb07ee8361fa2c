"""Records for a section of the benchmark, made through the API."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from ops.bench.requests import BenchFailed
from ops.bench.stage import Stage


async def fill(stage: Stage, pipeline: str, rows: Sequence[dict[str, Any]], batch: int = 10_000) -> list[str]:
    """Makes a record of each row, so many in a request; their ids in order."""
    ids: list[str] = []
    for start in range(0, len(rows), batch):
        operations = [{"op": "create", "data": row} for row in rows[start : start + batch]]
        answer = await stage.api.post(f"/pipelines/{pipeline}/records/batch", {"operations": operations})
        if answer["failed"]:
            raise BenchFailed(f"{answer['failed']} records were not made: {answer['results'][0]}")
        ids += [result["id"] for result in answer["results"]]
    return ids


async def settle(stage: Stage) -> None:
    """Does at once what autovacuum and the checkpointer do within minutes of so many new rows, or would do while others
    are measured.
    """
    connection = await asyncpg.connect(stage.plan.admin_url)
    try:
        for table in ("records", "edges"):
            await connection.execute(f"vacuum analyze records.{table}", timeout=180)
        await connection.execute("checkpoint", timeout=180)
    finally:
        await connection.close()

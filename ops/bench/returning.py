"""Ten thousand clients that lose their sockets and come back at once: how long it takes, and what records is asked."""

import asyncio
import time

import asyncpg

from ops.bench.figures import Figure
from ops.bench.filling import fill
from ops.bench.listeners import Listen
from ops.bench.sockets import Listeners, opening
from ops.bench.stage import Stage

CLIENTS = 10_000
RECORDS = 2_500
CHANGED = 100
_FLUSH_SECONDS = 12.0
"""PostgreSQL's processes tell what they have read ten seconds after at the latest."""
_READS = """
select coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint from pg_stat_user_tables
where schemaname = 'records' and (relname = 'records' or relname like 'records\\_%')
"""


async def measure(stage: Stage) -> list[Figure]:
    """Each has one of the records open; some of them change while nobody listens."""
    fields = [{"name": "subject", "type": "text"}]
    body = {"name": "Returning", "slug": "returning", "schema_definition": {"fields": fields}}
    pipeline = (await stage.api.post("/pipelines", body))["id"]
    records = await fill(stage, pipeline, [{"subject": f"Record {number}"} for number in range(RECORDS)], 1_000)
    async with Listeners.open(_listen(stage, records)):
        await stage.api.get(f"/pipelines/{pipeline}/records", {"limit": 1})
    position = stage.api.position
    for record in records[:CHANGED]:
        await stage.api.patch(f"/pipelines/{pipeline}/records/{record}", {"data": {"subject": "Changed"}})
    before, started = await _reads(stage), time.monotonic()
    async with Listeners.open(_listen(stage, records, position)):
        took = time.monotonic() - started
        asked = await _reads(stage) - before
    return [
        Figure(f"{CLIENTS:,} clients come back", took, "s", note=f"to {RECORDS:,} records, {CHANGED} of them changed"),
        Figure(
            "scans of records' tables for that", asked, "scans", most=CLIENTS // 100, note="jobs look there as well"
        ),
    ]


def _listen(stage: Stage, records: list[str], position: int | None = None) -> Listen:
    resumed = {} if position is None else {"from_seq": position}
    frames = [opening(stage, f"record:{record}", **resumed) for record in records]
    return Listen(stage.plan.ports["realtime"], "/api/v1/ws", CLIENTS, frames, 1)


async def _reads(stage: Stage) -> int:
    """How often the tables of records have been read so far."""
    await asyncio.sleep(_FLUSH_SECONDS)
    connection = await asyncpg.connect(stage.plan.admin_url)
    try:
        return int(await connection.fetchval(_READS))
    finally:
        await connection.close()

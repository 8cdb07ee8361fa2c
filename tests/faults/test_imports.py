"""An import goes on where a process that was killed left it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import nats
import pytest
from nats.js import JetStreamContext

from libs.common.events import STREAM
from ops.stack import Stack
from tests.faults.watching import recovered
from tests.journeys.crm import Json, make_pipeline, number, text, told
from tests.support.platform import Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.fault

ROWS = 6_000


async def test_a_killed_import_repeats_no_row_and_loses_none(victim: Stack, victims_tenant: Tenant) -> None:
    """The process dies twice in the middle; afterwards each row is one record with one event, or refused once."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Brought", text("name"), number("place"))
    lines = "".join(f"Row {place},{place if place % 100 else 'none'}\n" for place in range(1, ROWS + 1))
    body = f"name,place\n{lines}".encode()
    headers = {"content-type": "text/csv"}
    job = told(await api.post(f"/pipelines/{pipeline['id']}/imports", content=body, headers=headers), 202)
    for share in (0.2, 0.6):
        await _far(victim, job, int(ROWS * share))
        victim.supervisor.send("KILL", "records")
        recovered(victim)

    async def over() -> bool:
        job.update(told(await api.get(f"/imports/{job['id']}")))
        return job["state"] not in ("queued", "running")

    await eventually(over, 60)
    assert (job["state"], job["created"], job["refused"]) == ("done", ROWS * 99 // 100, ROWS // 100)
    admin = await asyncpg.connect(victim.plan.admin_url)
    try:
        names = await admin.fetch("select title from records.records where pipeline_id = $1", pipeline["id"])
        refused = await admin.fetchval("select count(1) from records.refused_rows where job_id = $1", job["id"])
    finally:
        await admin.close()
    assert len(names) == len({row["title"] for row in names}) == ROWS * 99 // 100
    assert refused == ROWS // 100

    async with _events(victim, victims_tenant) as events:
        await eventually(lambda: _all_told(events, ROWS * 99 // 100))
        assert (await events.consumer_info()).num_pending == ROWS * 99 // 100


@asynccontextmanager
async def _events(victim: Stack, tenant: Tenant) -> AsyncIterator[JetStreamContext.PullSubscription]:
    """Those of records made, as the stream holds them."""
    client = await nats.connect(victim.plan.nats_url)
    try:
        subject = f"evt.{tenant.id}.records.record.created"
        yield await client.jetstream().pull_subscribe(subject, stream=STREAM)
    finally:
        await client.close()


async def _all_told(events: JetStreamContext.PullSubscription, count: int) -> bool:
    return (await events.consumer_info()).num_pending >= count


async def _far(victim: Stack, job: Json, rows: int) -> None:
    admin = await asyncpg.connect(victim.plan.admin_url)

    async def far() -> bool:
        return bool(await admin.fetchval("select done >= $2 from records.jobs where id = $1", job["id"], rows))

    try:
        await eventually(far, 60)
    finally:
        await admin.close()

"""SIGKILL at any moment loses no acknowledged write, and each is announced once in effect."""

import asyncpg
import nats.errors
import pytest

from ops.stack import Stack
from ops.stack.plan import ALL, SERVERS
from tests.faults.watching import Watcher, Writers, announced, announced_all, recovered
from tests.journeys.crm import Json, make_pipeline, make_record, text
from tests.support.platform import Tenant
from tests.support.waiting import eventually

pytestmark = pytest.mark.fault

BEFORE, AFTER = 40, 40


@pytest.mark.parametrize("process", [*ALL, *SERVERS])
async def test_a_killed_process_loses_no_acknowledged_write(
    victim: Stack, victims_tenant: Tenant, process: str
) -> None:
    """While writers write and a socket watches, a process dies; all that was acknowledged is there and was heard."""
    pipeline = await make_pipeline(victims_tenant.client, "Written", text("name", unique=True))
    writers = Writers(victims_tenant, pipeline)
    watcher = Watcher(victim.plan.gateway_url, victims_tenant, pipeline)

    async with watcher.at_work():
        async with writers.at_work():
            await writers.more(BEFORE)
            victim.supervisor.send("KILL", process)
            await writers.more(AFTER)
        recovered(victim)
        acknowledged = set(writers.acknowledged)

        async def all_heard() -> bool:
            return acknowledged <= set(watcher.heard)

        await eventually(all_heard)

    events = await announced_all(victim, victims_tenant, pipeline, acknowledged)
    assert set(events.values()) == {1}
    assert set(watcher.heard.values()) == {1}


async def test_a_kill_between_commit_and_publish_delays_the_event(victim: Stack, victims_tenant: Tenant) -> None:
    """What was committed while the broker stood still is published by the next life of the service, once."""
    pipeline = await _known_pipeline(victim, victims_tenant)
    victim.supervisor.send("STOP", "nats")
    try:
        record = await make_record(victims_tenant.client, pipeline, {"name": "committed"})
        assert await _waiting(victim) == 1
        victim.supervisor.send("KILL", "records")
    finally:
        victim.supervisor.send("CONT", "nats")
    await _announced_once(victim, victims_tenant, record["id"])


async def test_a_kill_between_publish_and_deletion_repeats_no_event(victim: Stack, victims_tenant: Tenant) -> None:
    """What was published and not yet deleted from the outbox is published again, and the stream keeps one."""
    pipeline = await _known_pipeline(victim, victims_tenant)
    admin = await asyncpg.connect(victim.plan.admin_url)
    try:
        victim.supervisor.send("STOP", "nats")
        try:
            record = await make_record(victims_tenant.client, pipeline, {"name": "published"})
            # Readers pass, the deletion waits.
            await admin.execute("begin; lock table records.outbox in share mode")
        finally:
            victim.supervisor.send("CONT", "nats")
        await _announced_once(victim, victims_tenant, record["id"])
        assert await _waiting(victim) == 1
        victim.supervisor.send("KILL", "records")
    finally:
        await admin.close()
    recovered(victim)
    await _published(victim)
    await _announced_once(victim, victims_tenant, record["id"])


async def _known_pipeline(stack: Stack, tenant: Tenant) -> Json:
    """A pipeline that records knows by heart, and nothing waiting in its outbox."""
    pipeline = await make_pipeline(tenant.client, "Written", text("name"))
    await make_record(tenant.client, pipeline, {"name": "first"})
    await _published(stack)
    return pipeline


async def _published(stack: Stack) -> None:
    async def emptied() -> bool:
        return await _waiting(stack) == 0

    await eventually(emptied)


async def _announced_once(stack: Stack, tenant: Tenant, record_id: str) -> None:
    async def there() -> bool:
        try:
            return record_id in await announced(stack, tenant)
        except (nats.errors.Error, OSError):
            return False

    await eventually(there)
    assert (await announced(stack, tenant))[record_id] == 1


async def _waiting(stack: Stack) -> int:
    connection = await asyncpg.connect(stack.plan.admin_url)
    try:
        return int(await connection.fetchval("select count(*) from records.outbox"))
    finally:
        await connection.close()


def _records(pipeline: Json) -> str:
    return f"/pipelines/{pipeline['id']}/records"

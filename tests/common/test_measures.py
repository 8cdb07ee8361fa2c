"""Gauges that are read from the servers."""

import asyncio
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from libs.common import events
from libs.common.bus import Bus, Consumer, Outgoing
from libs.common.events import Event, NewEvent
from libs.common.ids import new_id
from libs.common.measures import Measures, Pools
from libs.common.postgres import Connection, Database
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


async def test_rows_are_counted_past_row_level_security(
    db: Database, bus: Bus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A service knows how much it stores, of all tenants together, without seeing a row."""
    registry = CollectorRegistry()
    measures = Measures(db, bus, registry)

    async def stored() -> float | None:
        await measures.read()
        return registry.get_sample_value("stored_rows", {"table": "outbox"})

    assert await stored() == 0
    insert = "insert into outbox (tenant_id, event_id, subject, payload) values ($1, $2, 'evt.x', '{}')"
    await admin.executemany(insert, [(new_id(), new_id()) for _ in range(3)])
    await admin.execute("select pg_stat_force_next_flush()")

    async def three() -> bool:
        return await stored() == 3

    await eventually(three)


async def test_events_that_wait_are_counted(db: Database, bus: Bus) -> None:
    """A consumer that does not get on is behind by what it has not handled."""
    go_on = asyncio.Event()

    async def handle(_: Connection, __: Event[Any]) -> None:
        await go_on.wait()

    registry = CollectorRegistry()
    measures = Measures(db, bus, registry)
    bus.consume(Consumer("pipelines-test", "evt.*.test.thing.said", dict[str, Any], handle), db)
    tenant_id, messages = new_id(), []
    for _ in range(4):
        event_id, subject, payload = events.encode(tenant_id, NewEvent("test.thing.said", new_id(), {}))
        messages.append(Outgoing(subject, payload.encode(), str(event_id)))
    await bus.publish(messages)

    async def behind() -> float | None:
        await measures.read()
        return registry.get_sample_value("events_behind", {"consumer": "pipelines-test"})

    async def four() -> bool:
        return await behind() == 4

    async def none() -> bool:
        return await behind() == 0

    await eventually(four)
    go_on.set()
    await eventually(none)


async def test_connections_are_counted_when_they_are_asked_for(db: Database) -> None:
    """Of each pool its bound, how many are in use and how many are waited for; a pool that is not open has none."""
    registry = CollectorRegistry()
    pools = Pools(registry)
    pools.add("primary", db)
    pools.add("standby", Database("postgresql://127.0.0.1:9/none"))

    def told(name: str) -> dict[str, float]:
        (found,) = (metric for metric in registry.collect() if metric.name == f"database_connections_{name}")
        return {f"{it.labels['server']} {it.labels['pool']}": it.value for it in found.samples}

    assert (told("max"), told("in_use"), told("waited_for")) == (
        {"primary main": db.size}, {"primary main": 0}, {"primary main": 0},
    )  # fmt: skip
    async with db.system():
        assert told("in_use") == {"primary main": 1}
    assert told("in_use") == {"primary main": 0}


async def test_servers_that_are_away_change_nothing(nats_url: str) -> None:
    """What cannot be read is left as it was: nothing, and not zero."""
    database, bus, registry = Database("postgresql://127.0.0.1:9/none"), Bus(nats_url, "test"), CollectorRegistry()
    await database.start()
    await Measures(database, bus, registry).read()
    await database.stop()
    assert [sample for metric in registry.collect() for sample in metric.samples] == []

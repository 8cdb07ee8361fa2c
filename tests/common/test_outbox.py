import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from libs.common import events, outbox
from libs.common.bus import Bus, Outgoing
from libs.common.errors import Unavailable
from libs.common.events import NewEvent
from libs.common.ids import new_id
from libs.common.outbox import Relay
from libs.common.postgres import Connection, Database
from libs.common.resilience import end
from ops.embedded import Nats
from tests.support.postgres import Database as Clone
from tests.support.servers import Mortal
from tests.support.waiting import eventually

TENANT = new_id()


class Told(msgspec.Struct):
    """What an event says."""

    number: int


def numbered(*numbers: int) -> list[NewEvent]:
    """Events that say these numbers."""
    return [NewEvent("pipelines.test.said", new_id(), Told(number)) for number in numbers]


async def say(db: Database, *numbers: int) -> None:
    """Commit events."""
    async with db.tenant(TENANT) as connection:
        await outbox.record(connection, TENANT, numbered(*numbers))


async def said(bus: Bus) -> list[int]:
    """What stands in the stream, in its order."""
    state = (await bus.jetstream.stream_info(events.STREAM)).state
    messages = [await bus.jetstream.get_msg(events.STREAM, seq) for seq in range(1, state.last_seq + 1)]
    return [events.decode(message.data or b"", Told).data.number for message in messages]


async def all_ended(admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Return when no transaction is older than what is in the outbox; those of a server's other databases count."""

    async def so() -> bool:
        older = "select from outbox where transaction_id >= pg_snapshot_xmin(pg_current_snapshot())"
        return not await admin.fetchval(f"select exists ({older})")

    await eventually(so)


def has(bus: Bus, numbers: Sequence[int]) -> Callable[[], Awaitable[bool]]:
    """Whether the stream says just these numbers, or will have to be asked again."""

    async def arrived() -> bool:
        return bus.connected and await said(bus) == list(numbers)

    return arrived


def relay(db: Database, bus: Bus) -> Relay:
    """A relay of the service."""
    return Relay("pipelines", db, bus, CollectorRegistry())


@asynccontextmanager
async def relaying(db: Database, bus: Bus) -> AsyncIterator[asyncio.Task[None]]:
    """A relay that runs until the block ends."""
    task = asyncio.create_task(relay(db, bus).run())
    try:
        yield task
    finally:
        await end([task])


async def test_events_are_published_in_order_and_taken_away(
    db: Database, bus: Bus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """More than a batch of committed events arrives whole and in order, and the outbox is empty afterwards."""
    for start in range(0, 1200, 400):
        await say(db, *range(start, start + 400))
    async with relaying(db, bus):
        await eventually(has(bus, range(1200)))

        async def empty() -> bool:
            return await admin.fetchval("select count(*) from outbox") == 0

        await eventually(empty)
    assert bus.position == 1200


async def test_a_commit_wakes_the_relay(db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events reach the stream through a relay that would look by itself only in an hour."""
    monkeypatch.setattr(outbox, "POLL_SECONDS", 3600.0)
    async with relaying(db, bus):
        await say(db, 0)
        await eventually(has(bus, [0]))
        for number in range(1, 6):
            await say(db, number)
            await eventually(has(bus, range(number + 1)))


async def test_whoever_leads_tells_how_old_the_oldest_is(
    db: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A relay that cannot publish tells the age of what waits, until another has taken over from it."""
    registry, away = CollectorRegistry(), Bus("nats://127.0.0.1:9", "away")
    await away.start()
    task = asyncio.create_task(Relay("pipelines", db, away, registry).run())

    async def tells() -> bool:
        return bool(registry.get_sample_value("outbox_oldest_seconds"))

    async def tells_nothing() -> bool:
        return not await tells()

    try:
        await say(db, 1)
        await eventually(tells)
        await admin.execute("select pg_advisory_lock(hashtext('relay pipelines'))")
        await eventually(tells_nothing)
        await admin.execute("select pg_advisory_unlock(hashtext('relay pipelines'))")
        await eventually(tells)
    finally:
        await end([task])
        await away.stop()


async def test_what_is_taken_back_is_not_told(db: Database, bus: Bus) -> None:
    """A transaction that fails leaves no event."""

    async def fail() -> None:
        async with db.tenant(TENANT) as connection:
            await outbox.record(connection, TENANT, numbered(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await say(db, 2)
    async with relaying(db, bus):
        await eventually(has(bus, [2]))


async def test_an_older_open_transaction_is_waited_for(
    db: Database, bus: Bus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """An event with a greater id that commits first waits until the older transaction has ended."""
    one = relay(db, bus)
    async with db.tenant(TENANT) as older:
        await outbox.record(older, TENANT, numbered(1))
        await say(db, 2)
        assert await one._publish_batch() == (0, True)
    await all_ended(admin)
    assert await one._publish_batch() == (2, False)
    assert await said(bus) == [1, 2]


async def test_nothing_overtakes_a_row_that_waits(
    db: Database, bus: Bus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Transaction ids are no order either: a row of an old one stays behind a waiting row of a newer one."""
    one = relay(db, bus)
    oldest, bystander = db.tenant(TENANT), db.tenant(TENANT)
    late = await oldest.__aenter__()
    await late.execute("select pg_current_xact_id()")
    open_one = await bystander.__aenter__()
    await open_one.execute("select pg_current_xact_id()")
    await say(db, 1)
    await outbox.record(late, TENANT, numbered(2))
    await oldest.__aexit__(None, None, None)
    assert await one._publish_batch() == (0, True)
    await bystander.__aexit__(None, None, None)
    await all_ended(admin)
    assert await one._publish_batch() == (2, False)
    assert await said(bus) == [1, 2]


async def test_many_writers_keep_each_entitys_order(db: Database, bus: Bus) -> None:
    """Two hundred changes of one row by ten writers at once are told in the order in which its lock was held."""
    async with db.tenant(TENANT) as connection:
        await connection.execute("insert into inbox values ($1, '0', $1)", TENANT)

    async def change() -> None:
        async with db.tenant(TENANT) as connection:
            number = await connection.fetchval(
                "update inbox set consumer = (consumer::int + 1)::text where tenant_id = $1 returning consumer::int",
                TENANT,
            )
            await outbox.record(connection, TENANT, numbered(number))

    async def writer() -> None:
        for _ in range(20):
            await change()

    async with relaying(db, bus):
        await asyncio.gather(*(writer() for _ in range(10)))
        await eventually(has(bus, range(1, 201)))


class Crash(Exception):
    """The process ended."""


class CrashingBus(Bus):
    """A bus whose process ends right after publishing, once."""

    crashed = False
    survives = 0

    async def publish(self, messages: Sequence[Outgoing]) -> int:
        """Publish, and do not come back to tell of it."""
        last = await super().publish(messages)
        self.survives -= 1
        if not self.crashed and self.survives < 0:
            self.crashed = True
            raise Crash
        return last


async def test_a_crash_between_publishing_and_deleting_tells_once(
    db: Database, nats_url: str, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """What was published but is still in the outbox is published again, and stands in the stream once."""
    bus = CrashingBus(nats_url, "crashing")
    await bus.start()
    await bus.ready()
    await say(db, 1, 2, 3)
    await all_ended(admin)
    with pytest.raises(Crash):
        await relay(db, bus)._publish_batch()
    await say(db, 4)
    async with relaying(db, bus):
        await eventually(has(bus, [1, 2, 3, 4]))
    await bus.stop()


async def test_a_backlog_is_drained_in_order_and_once(
    db: Database, nats_url: str, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Thousands of events are in the stream once and in order, also when the process ends while batches overlap."""
    number = 6 * outbox.BATCH
    for start in range(0, number, 1000):
        await say(db, *range(start, start + 1000))
    bus = CrashingBus(nats_url, "crashing")
    bus.survives = 3
    await bus.start()
    await bus.ready()
    await all_ended(admin)
    with pytest.raises(Crash):
        await relay(db, bus)._publish_batch()
    assert await admin.fetchval("select count(*) from outbox") == number - 3 * outbox.BATCH
    await all_ended(admin)
    assert await relay(db, bus)._publish_batch() == (number - 3 * outbox.BATCH, False)
    assert await admin.fetchval("select count(*) from outbox") == 0
    assert (await bus.jetstream.stream_info(events.STREAM)).state.messages == number
    assert await said(bus) == list(range(number))
    await bus.stop()


async def test_a_commit_elsewhere_wakes_the_relay(
    database: Clone, db: Database, bus: Bus, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay that leads hears of what another process commits, and would look by itself only in an hour."""
    monkeypatch.setattr(outbox, "POLL_SECONDS", 3600.0)
    other, line = Database(database.dsn("pipelines")), Bus(nats_url, "other")
    await other.start()
    await line.start()
    await line.ready()
    async with relaying(db, bus):
        await say(db, 0)
        await eventually(has(bus, [0]))
        async with relaying(other, line):
            for number in range(1, 6):
                await say(other, number)
                await eventually(has(bus, range(number + 1)))
    await line.stop()
    await other.stop()


async def leader(admin: "asyncpg.Connection[asyncpg.Record]") -> int | None:
    """The backend of the relay that leads."""
    found: int | None = await admin.fetchval(
        "select pid from pg_locks where locktype = 'advisory' and granted and database ="
        " (select oid from pg_database where datname = current_database())"
    )
    return found


async def test_another_instance_takes_over(
    database: Clone, bus: Bus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """One of two relays leads; when it ends, or loses its connection, the other goes on within seconds."""
    pools = [Database(database.dsn("pipelines")) for _ in range(2)]
    for pool in pools:
        await pool.start()
    async with relaying(pools[0], bus) as first:
        await say(pools[0], 1)
        await eventually(has(bus, [1]))
        async with relaying(pools[1], bus):
            lead = await leader(admin)
            assert lead is not None
            await admin.execute("select pg_terminate_backend($1)", lead)
            await say(pools[0], 2)
            await eventually(has(bus, [1, 2]))
            await end([first])
            await say(pools[0], 3)
            await eventually(has(bus, [1, 2, 3]))
    for pool in pools:
        await pool.stop()


async def test_a_broker_that_is_killed_loses_nothing(db: Database, mortal_nats: Mortal[Nats]) -> None:
    """Writes go on while it is away; back again, it has every event once and in order."""
    bus = Bus(mortal_nats.server.url, "test")
    await bus.start()
    async with relaying(db, bus):
        await say(db, *range(100))
        await eventually(has(bus, range(100)))
        number = 100
        for _ in range(3):
            await say(db, *range(number, number + 300))
            mortal_nats.kill()
            await say(db, *range(number + 300, number + 600))
            mortal_nats.start()
            number += 600
        await eventually(has(bus, range(number)))
    await bus.stop()


async def test_a_broker_that_hangs_is_waited_for(
    db: Database,
    mortal_nats: Mortal[Nats],
    monkeypatch: pytest.MonkeyPatch,
    admin: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Publishing to a broker that does not answer is given up and tried again, however often, without running dry."""
    bus = Bus(mortal_nats.server.url, "test")
    await bus.start()
    await bus.ready()
    monkeypatch.setattr("libs.common.bus.PUBLISH_SECONDS", 0.05)
    await say(db, *range(500))
    await all_ended(admin)
    one = relay(db, bus)
    mortal_nats.pause()
    for _ in range(12):
        with pytest.raises(Unavailable, match=r"did not acknowledge|away"):
            await one._publish_batch()
    mortal_nats.signal(signal.SIGCONT)
    monkeypatch.undo()
    async with relaying(db, bus):
        await eventually(has(bus, range(500)))
    await bus.stop()


async def test_the_start_order_does_not_matter(db: Database, mortal_nats: Mortal[Nats]) -> None:
    """A bus and a relay that were started before the broker find it."""
    mortal_nats.kill()
    bus = Bus(mortal_nats.server.url, "early")
    await bus.start()
    async with relaying(db, bus):
        await say(db, 1)
        assert not bus.connected
        mortal_nats.start()
        await eventually(has(bus, [1]))
    await bus.stop()


async def test_a_service_only_adds_to_its_outbox(db: Database) -> None:
    """The service's role can neither read, change nor empty it, and adds for no other tenant."""

    async def forbidden(work: Callable[[Connection], Awaitable[Any]]) -> None:
        async def attempt() -> None:
            async with db.tenant(TENANT) as connection:
                await work(connection)

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await attempt()

    other: UUID = new_id()
    await forbidden(lambda c: c.fetch("select payload from outbox"))
    await forbidden(lambda c: c.execute("delete from outbox"))
    await forbidden(lambda c: c.execute("update outbox set payload = ''"))
    await forbidden(lambda c: outbox.record(c, other, numbered(1)))

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import nats.errors
import pytest
from nats.js.errors import NotFoundError

from libs.common import events, tracing
from libs.common.bus import Bus, Consumer, Outgoing
from libs.common.consuming import PRUNE_EVERY
from libs.common.errors import KINDS, AppError, Fault, Malformed, Unavailable
from libs.common.events import Event, NewEvent
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from ops.embedded import Nats
from tests.support.servers import Mortal
from tests.support.waiting import eventually

TENANT = new_id()
SUBJECT = "evt.*.test.thing.said"


class Said(msgspec.Struct):
    """What an event says."""

    number: int


def message(number: int) -> Outgoing:
    """An event that says a number."""
    event_id, subject, payload = events.encode(TENANT, NewEvent("test.thing.said", new_id(), Said(number)))
    return Outgoing(subject, payload.encode(), str(event_id))


@pytest.fixture
async def other(nats_url: str) -> AsyncIterator[Bus]:
    """The connection of another process."""
    bus = Bus(nats_url, "other")
    await bus.start()
    await bus.ready()
    yield bus
    await bus.stop()


async def ask(bus: Bus, question: object = None, seconds: float = 2.0) -> Any:
    """Ask the question that tests answer, once somebody listens."""

    async def answered() -> bool:
        try:
            await bus.request("rpc.test.ready", {}, Any, seconds=0.2)
        except Unavailable:
            return False
        return True

    await eventually(answered)
    return await bus.request("rpc.test.ask", question, Any, seconds=seconds)


def serve(bus: Bus, answer: Callable[[Any], Any], question: type[Any] = object) -> None:
    """Answer the question that tests ask."""

    async def ready(_: Any) -> bool:
        return True

    bus.serve("rpc.test.ask", question, answer)
    bus.serve("rpc.test.ready", dict[str, Any], ready)


async def test_a_question_is_answered(bus: Bus, other: Bus) -> None:
    """The answer comes back as the type that was asked for."""

    async def double(question: Said) -> Said:
        return Said(question.number * 2)

    serve(other, double, Said)
    assert await ask(bus, Said(21)) == {"number": 42}
    assert await bus.request("rpc.test.ask", Said(1), Said) == Said(2)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_is_raised_at_the_caller(bus: Bus, other: Bus, kind: str) -> None:
    """Each kind of error comes over the wire as itself, with its faults."""

    async def refuse(_: object) -> None:
        raise KINDS[kind]("why", code="special", errors=[Fault("/a", "b", "c")])

    serve(other, refuse)
    with pytest.raises(KINDS[kind]) as caught:
        await ask(bus)
    assert (type(caught.value), caught.value.code, caught.value.errors) == (
        KINDS[kind],
        "special",
        (Fault("/a", "b", "c"),),
    )


async def test_a_crash_at_the_answerer_is_opaque(bus: Bus, other: Bus) -> None:
    """What nobody foresaw there is an internal error here, that tells nothing."""

    async def crash(_: object) -> None:
        raise ValueError("password=hunter2")

    serve(other, crash)
    with pytest.raises(AppError) as caught:
        await ask(bus)
    assert type(caught.value) is AppError
    assert "hunter2" not in caught.value.detail


async def test_an_unreadable_question_is_malformed(bus: Bus, other: Bus) -> None:
    """A question of another shape is the asker's fault."""

    async def never(_: Said) -> None:
        raise AssertionError

    serve(other, never, Said)
    with pytest.raises(Malformed):
        await ask(bus, {"number": "x"})


async def test_the_caller_gives_the_deadline(bus: Bus, other: Bus) -> None:
    """Without an answerer it is 503 at once, with a slow one when time is up; the slow one serves others meanwhile."""
    with pytest.raises(Unavailable):
        await bus.request("rpc.test.nobody", {}, Any, seconds=5)

    async def slow(question: dict[str, bool]) -> bool:
        if question["slow"]:
            await asyncio.Event().wait()
        return True

    serve(other, slow)
    assert await ask(bus, {"slow": False}) is True
    started = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable):
        await ask(bus, {"slow": True}, seconds=0.1)
    assert asyncio.get_running_loop().time() - started < 2
    assert await ask(bus, {"slow": False}) is True


async def test_instances_share_the_questions(bus: Bus, nats_url: str) -> None:
    """Each question is answered by one of two instances of a service."""
    answered: list[int] = []
    instances = [Bus(nats_url, f"instance {i}") for i in range(2)]
    for number, instance in enumerate(instances):

        async def answer(_: object, number: int = number) -> int:
            answered.append(number)
            return number

        await instance.start()
        serve(instance, answer)

    async def both() -> bool:
        await ask(bus)
        return set(answered) == {0, 1}

    await eventually(both)
    before = len(answered)
    await asyncio.gather(*(ask(bus) for _ in range(20)))
    assert len(answered) == before + 20
    for instance in instances:
        await instance.stop()


async def test_the_trace_goes_along(bus: Bus, other: Bus) -> None:
    """The answerer works in the asker's trace."""

    async def trace(_: object) -> str | None:
        return tracing.traceparent()

    serve(other, trace)
    own = tracing.enter(None)
    assert await ask(bus) == own


async def test_the_position_is_known_everywhere(bus: Bus, other: Bus) -> None:
    """What one process publishes moves the position of the others, and of those that come later."""
    assert await bus.publish([message(1), message(2)]) == 2
    assert bus.position == 2

    async def moved() -> bool:
        return other.position == 2

    await eventually(moved)


async def test_a_message_is_kept_once(bus: Bus) -> None:
    """The same id published again is the same message, under its old number."""
    one = message(1)
    assert await bus.publish([one]) == 1
    assert await bus.publish([one, message(2)]) == 2
    assert (await bus.jetstream.stream_info(events.STREAM)).state.messages == 2


class Notes:
    """A consumer's effect: a row per event, and what it saw."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.fail: dict[int, Exception] = {}

    async def handle(self, connection: Connection, event: Event[Said]) -> None:
        """Write a row, then fail if this number is to fail."""
        self.seen.append(event.data.number)
        await connection.execute(
            "insert into inbox values ($1, $2, gen_random_uuid())", TENANT, f"effect {event.data.number}"
        )
        if event.data.number in self.fail:
            raise self.fail[event.data.number]

    def consumer(self, name: str = "test-consumer") -> Consumer[Said]:
        """The consumer of this effect."""
        return Consumer(name, SUBJECT, Said, self.handle)


async def effects(db: Database) -> list[int]:
    """The numbers whose effect was committed."""
    async with db.tenant(TENANT) as connection:
        rows = await connection.fetch("select consumer from inbox where consumer like 'effect %'")
    return sorted(int(row["consumer"].removeprefix("effect ")) for row in rows)


async def wait_for_effects(db: Database, *numbers: int, seconds: float = 15) -> None:
    """Return when just these effects stand."""

    async def stand() -> bool:
        return await effects(db) == sorted(numbers)

    await eventually(stand, seconds)


async def test_events_are_handled_in_order(bus: Bus, db: Database) -> None:
    """Also those from before the consumer existed, each once."""
    await bus.publish([message(number) for number in range(20)])
    notes = Notes()
    bus.consume(notes.consumer(), db)
    await bus.publish([message(number) for number in range(20, 40)])
    await wait_for_effects(db, *range(40))
    assert notes.seen == list(range(40))


async def test_a_second_delivery_has_no_second_effect(bus: Bus, db: Database) -> None:
    """The same event under another message id, as after the stream forgot the first, is noted and passed over."""
    one = message(1)
    again = Outgoing(one.subject, one.payload, "another")
    await bus.publish([one, again, message(2)])
    notes = Notes()
    bus.consume(notes.consumer(), db)
    await wait_for_effects(db, 1, 2)
    assert notes.seen == [1, 2]


async def test_ids_that_cannot_come_again_are_forgotten(bus: Bus, db: Database) -> None:
    """What was handled longer ago than twice the age that the stream keeps leaves the inbox."""
    async with db.tenant(TENANT) as connection:
        await connection.execute(
            "insert into inbox select $1, 'effect 1000', gen_random_uuid(), now() - make_interval(days => days)"
            " from unnest(array[13, 15, 30]) days",
            TENANT,
        )
    bus.consume(Notes().consumer(), db)
    await bus.publish([message(number) for number in range(PRUNE_EVERY)])
    await wait_for_effects(db, *range(PRUNE_EVERY), 1000)


async def test_a_failed_effect_is_taken_back_and_tried_again(bus: Bus, db: Database) -> None:
    """Until it succeeds nothing of it stands, and what comes later waits."""
    notes = Notes()
    notes.fail[1] = ValueError("not yet")
    bus.consume(notes.consumer(), db)
    await bus.publish([message(1), message(2)])

    async def tried() -> bool:
        return notes.seen == [1, 1]

    await eventually(tried)
    assert await effects(db) == []
    notes.fail.clear()
    await wait_for_effects(db, 1, 2)


async def test_what_is_away_is_waited_for(bus: Bus, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Unavailable` is no fault of the event, so it does not count as an attempt."""
    monkeypatch.setattr("libs.common.consuming.MAX_ATTEMPTS", 2)
    notes = Notes()
    notes.fail[1] = Unavailable()
    bus.consume(notes.consumer(), db)
    await bus.publish([message(1)])

    async def tried() -> bool:
        return len(notes.seen) > 3

    await eventually(tried)
    notes.fail.clear()
    await wait_for_effects(db, 1)


async def test_a_poisonous_event_is_set_aside(bus: Bus, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many attempts, or at once where it cannot be read, an event no longer holds up the next."""
    monkeypatch.setattr("libs.common.consuming.MAX_ATTEMPTS", 2)
    notes = Notes()
    notes.fail[1] = ValueError("never")
    bus.consume(notes.consumer(), db)
    subject = SUBJECT.replace("*", str(TENANT))
    garbage = [Outgoing(subject, body, body.decode()) for body in (b"garbage", b'{"specversion": "1.0"}')]
    await bus.publish([message(0), *garbage, message(1), message(2)])
    await wait_for_effects(db, 0, 2)
    assert notes.seen == [0, 1, 1, 2]


async def test_instances_share_a_consumer(bus: Bus, other: Bus, db: Database) -> None:
    """Two instances handle each event once between them."""
    notes = [Notes(), Notes()]
    for instance, note in zip((bus, other), notes, strict=True):
        instance.consume(note.consumer(), db)
    await bus.publish([message(number) for number in range(50)])
    await wait_for_effects(db, *range(50))
    assert sorted(notes[0].seen + notes[1].seen) == list(range(50))


async def test_a_consumer_that_stops_hands_on_what_it_holds(bus: Bus, nats_url: str, db: Database) -> None:
    """The next instance gets the event at once, not when its acknowledgement is overdue."""
    holding = asyncio.Event()

    async def hold(_: Connection, __: Event[Said]) -> None:
        holding.set()
        await asyncio.Event().wait()

    first = Bus(nats_url, "first")
    await first.start()
    first.consume(Consumer("test-consumer", SUBJECT, Said, hold), db)
    await bus.publish([message(1)])
    await asyncio.wait_for(holding.wait(), 60)
    await first.stop()
    bus.consume(Notes().consumer(), db)
    await wait_for_effects(db, 1, seconds=10)


async def test_a_consumer_survives_its_broker(db: Database, mortal_nats: Mortal[Nats]) -> None:
    """Killed and started again, the broker goes on where the consumer was, and the client is told."""
    bus = Bus(mortal_nats.server.url, "test")
    reconnected = asyncio.Event()
    bus.on_reconnect(reconnected.set)
    await bus.start()
    await bus.ready()
    notes = Notes()
    bus.consume(notes.consumer(), db)
    await bus.publish([message(1)])
    await wait_for_effects(db, 1)
    mortal_nats.kill()

    async def away() -> bool:
        return not bus.connected

    await eventually(away)
    with pytest.raises(Unavailable):
        await bus.publish([message(2)])
    mortal_nats.start()
    await asyncio.wait_for(reconnected.wait(), 60)

    async def published() -> bool:
        try:
            await bus.publish([message(2)])
        except Unavailable:
            return False
        return True

    await eventually(published)
    await wait_for_effects(db, 1, 2, seconds=20)
    assert notes.seen == [1, 2]
    await bus.stop()


async def test_a_listener_that_fails_hears_the_next(bus: Bus, other: Bus) -> None:
    """Listening hands on what comes from now on, and one failure does not end it."""
    heard: list[int] = []

    async def listen(payload: bytes) -> None:
        heard.append(events.decode(payload, Said).data.number)
        if heard == [1]:
            raise ValueError

    other.listen(SUBJECT, listen)

    async def listening() -> bool:
        await bus.publish([message(1)])
        return bool(heard)

    await eventually(listening)
    await bus.publish([message(2)])

    async def second() -> bool:
        return heard[-1] == 2

    await eventually(second)


async def lose(bus: Bus) -> None:
    """The stream is lost, with all that was in it."""
    await bus.jetstream.delete_stream(events.STREAM)


async def test_a_lost_stream_goes_on_beyond_all_that_was_told(bus: Bus, other: Bus) -> None:
    """When the stream was lost while processes ran, it is made anew and no position that was told comes again."""
    await bus.publish([message(number) for number in range(5)])

    async def told() -> bool:
        return other.position == bus.position

    await eventually(told)
    await lose(bus)
    with pytest.raises(Unavailable):
        await bus.publish([message(5)])
    before = bus.position

    async def published() -> bool:
        try:
            return await bus.publish([message(6)]) > before
        except Unavailable:
            return False

    await eventually(published)
    state = (await bus.jetstream.stream_info(events.STREAM)).state
    assert (bus.position, state.messages) == (state.last_seq, 1)
    assert state.first_seq > 5 + 1000
    await eventually(told)


async def test_a_stream_that_begins_anew_takes_the_position_back(bus: Bus, other: Bus) -> None:
    """Where a stream was made by one who knew no position, nobody claims what it has not reached."""
    await bus.publish([message(number) for number in range(5)])
    config = (await bus.jetstream.stream_info(events.STREAM)).config
    await lose(bus)
    config.first_seq = None
    await other.jetstream.add_stream(config)
    assert await bus.publish([message(5)]) == 1

    async def told() -> bool:
        return (bus.position, other.position) == (1, 1)

    await eventually(told)
    await other.publish([message(6)])
    await eventually(lambda: reached(bus, 2))


async def reached(bus: Bus, position: int) -> bool:
    """Whether the position is this."""
    return bus.position == position


async def test_a_broker_that_lost_all_is_noticed_at_reconnecting(mortal_nats: Mortal[Nats]) -> None:
    """A process that connects again to an empty broker makes the stream, and its position is one of that stream."""
    bus = Bus(mortal_nats.server.url, "test")
    await bus.start()
    await bus.ready()
    await bus.publish([message(number) for number in range(5)])
    mortal_nats.kill()
    shutil.rmtree(mortal_nats.server.data / "jetstream")
    mortal_nats.start()

    async def anew() -> bool:
        try:
            return (await bus.jetstream.stream_info(events.STREAM)).state.first_seq > 5
        except (Unavailable, NotFoundError, nats.errors.Error):
            return False

    await eventually(anew)

    async def agreed() -> bool:
        return bus.position == (await bus.jetstream.stream_info(events.STREAM)).state.last_seq

    await eventually(agreed)
    await bus.stop()


async def test_consumers_find_a_stream_that_was_made_anew(bus: Bus, db: Database) -> None:
    """A durable consumer of a lost stream goes on with the events of the new one."""
    heard: list[int] = []

    async def hear(_: Connection, event: Event[Said]) -> None:
        heard.append(event.data.number)

    bus.consume(Consumer("pipelines-said", SUBJECT, Said, hear), db)
    await bus.publish([message(1)])
    await eventually(lambda: has_heard(heard, [1]))
    await lose(bus)

    async def published() -> bool:
        try:
            await bus.publish([message(2)])
        except Unavailable:
            return False
        return True

    await eventually(published)
    await eventually(lambda: has_heard(heard, [1, 2]))


async def has_heard(heard: list[int], wanted: list[int]) -> bool:
    """Whether just this was heard."""
    return heard == wanted

"""Senders that die, endpoints that never come back, and names that change their meaning."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import dns.message
import dns.rrset
import httpx
import msgspec
import pytest

from libs.common import events
from libs.common.errors import Unavailable
from libs.common.events import NewEvent
from libs.common.ids import new_id
from services.realtime.domain.webhooks import Schedule, retry_after
from services.realtime.settings import Settings
from services.realtime.usecases import following
from services.realtime.usecases.following import Happened
from services.realtime.usecases.posting import Poster
from tests.realtime.receiver import Receiver, receiving
from tests.realtime.support import World, running_node
from tests.support.waiting import eventually

Json = dict[str, Any]


class Names(asyncio.DatagramProtocol):
    """A DNS server: for A, the first address once, then the second for ever; for AAAA nothing."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    def connection_made(self, transport: Any) -> None:
        """Keeps the way out."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Answers a question."""
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        if question.question[0].rdtype == dns.rdatatype.A:
            self.asked += 1
            found = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
            answer.answer.append(dns.rrset.from_text(question.question[0].name, 0, "IN", "A", found))
        self.transport.sendto(answer.to_wire(), address)


@asynccontextmanager
async def names(*addresses: str) -> AsyncIterator[tuple[str, Names]]:
    """Where the DNS server is, and the server."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Names(*addresses), local_addr=("127.0.0.1", 0))
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}", server
    finally:
        transport.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where webhooks are sent."""
    async with receiving() as found:
        yield found


async def made(url: str, token: str, target: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers) as client:
        return await client.post("/webhooks", json={"url": target, "events": ["*"]})


async def attempts(url: str, token: str, webhook: Json) -> list[Json]:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers) as client:
        items = (await client.get(f"/webhooks/{webhook['id']}/deliveries")).json()["items"]
    return [attempt for item in items for attempt in item["attempts"]]


async def test_a_name_that_becomes_private_is_not_reached(settings: Settings, world: World, receiver: Receiver) -> None:
    """A name that was public when the webhook was made, and means the loopback when it is sent to, gets nothing."""
    async with names("93.184.215.14", "127.0.0.1") as (server, asked):
        strict = msgspec.structs.replace(settings, webhook_local=False, dns_servers=server)
        async with running_node(strict) as node:
            token = world.token()
            answer = await made(node.url, token, f"https://hooks.example.com:{receiver.port}/")
            assert (answer.status_code, asked.asked) == (201, 1)
            await world.create(world.pipeline(), name="Ann")

            async def refused() -> bool:
                return "address-refused" in [it["error"] for it in await attempts(node.url, token, answer.json())]

            await eventually(refused)
    assert receiver.taken == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "2130706433",
     "localhost", "0.0.0.0", "[fe80::1]", "100.64.0.1", "224.0.0.1", "[fec0::1]", "[::7f00:1]", "[64:ff9b:1::7f00:1]",
     "192.0.0.192", "168.63.129.16"],
)  # fmt: skip
async def test_private_addresses_are_refused_when_a_webhook_is_made(host: str) -> None:
    """However a private address is written, it is known as one."""
    poster = Poster(None, local=False, concurrency=1, seconds=1, connect_seconds=1)
    assert await poster.refuses(f"https://{host}/")
    assert not await poster.refuses("https://93.184.215.14/")


async def test_a_written_out_address_is_refused_at_the_socket(receiver: Receiver) -> None:
    """Should such an address have come so far, no connection is opened to it."""
    poster = Poster(None, local=False, concurrency=1, seconds=1, connect_seconds=1)
    await poster.start()
    answers = [await poster.post(receiver.url(), {}, b"x"), await poster.post("http://localhost:1/", {}, b"x")]
    await poster.stop()
    assert [answer.error for answer in answers] == ["address-refused"] * 2
    assert receiver.taken == []


async def test_what_a_killed_sender_had_sent_goes_again(settings: Settings, world: World, receiver: Receiver) -> None:
    """A process killed after sending and before writing that down leaves it to another, with the same id."""
    brief = msgspec.structs.replace(settings, webhook_seconds=1.0)
    receiver.hold["/"] = asyncio.Event()
    async with running_node(msgspec.structs.replace(brief, webhooks_at_once=0)) as node:
        doomed = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.realtime.main",
            env={
                "PORT": "0", "DATABASE_URL": brief.database_url, "NATS_URL": brief.nats_url,
                "REDIS_URL": brief.redis_url, "SEALING_SECRET": brief.sealing_secret, "WEBHOOK_LOCAL": "true",
                "WEBHOOK_SECONDS": "1.0",
            },
        )  # fmt: skip
        answer = await made(node.url, world.token(), receiver.url())
        await world.create(world.pipeline(), name="Ann")
        first = (await receiver.got(1))[0]
        doomed.kill()
        await doomed.wait()
    sent = len(receiver.taken)
    receiver.hold.pop("/").set()
    async with running_node(brief):
        again = (await receiver.got(sent + 1))[sent]
    assert (again.id, again.message) == (first.id, first.message)
    again.verify(answer.json()["secret"])


async def test_days_of_failure_disable(settings: Settings, world: World, receiver: Receiver) -> None:
    """A webhook that has done nothing but fail for so long is disabled at its next failure."""
    receiver.answer = lambda _: (500, {})
    token = world.token()
    impatient = msgspec.structs.replace(settings, webhook_failing_days=0.3 / 86400)
    async with running_node(impatient) as node:
        webhook = (await made(node.url, token, receiver.url())).json()
        await world.create(world.pipeline(), name="Ann")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"{node.url}/api/v1", headers=headers) as client:

            async def disabled() -> bool:
                found = (await client.get(f"/webhooks/{webhook['id']}")).json()
                return (found["state"], found["reason"]) == ("disabled", "failing")

            await eventually(disabled)


async def test_a_plan_made_twice_is_one(settings: Settings, world: World, receiver: Receiver) -> None:
    """What was read of the stream already is not sent again when a process reads it anew."""
    token = world.token()
    async with running_node(settings) as node:
        webhook = (await made(node.url, token, receiver.url())).json()
        before = await world.create(world.pipeline(), name="Ann")

        async def noted() -> bool:
            return bool(await attempts(node.url, token, webhook))

        await eventually(noted)
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("update positions set position = 0")
    await connection.close()
    async with running_node(settings):
        await world.update(before, {"score": 1})
        taken = await receiver.got(2)
    assert [one.message["type"] for one in taken] == ["record.created", "record.updated"]


def test_retries_are_spread_and_end() -> None:
    """Each retry comes within its bound, not all at one moment; asked for more time, it waits; at last it ends."""
    schedule = Schedule.of("5,300", 5)
    first = [schedule.delay(1, None) or 0 for _ in range(200)]
    assert max(first) <= 5
    assert max(first) - min(first) > 2
    assert schedule.delay(1, 120.0) == 120.0
    assert schedule.delay(1, 1e9) == 24 * 3600
    assert schedule.delay(3, None) is None
    assert schedule.pause(2) == 0
    assert 0 < schedule.pause(30) <= 300


def test_retry_after_is_seconds_or_a_date() -> None:
    """Both forms of RFC 9110 are understood, and nonsense is nothing."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after("120", now) == 120
    assert retry_after("Thu, 01 Jan 2026 00:01:00 GMT", now) == 60
    assert retry_after("Thu, 01 Jan 2020 00:01:00 GMT", now) == 0
    assert (retry_after("soon", now), retry_after(None, now)) == (None, None)
    assert retry_after("Thu, 01 Jan 99999999999999 00:00:00 GMT", now) is None
    assert schedule_over(now)


def schedule_over(now: datetime) -> bool:
    schedule = Schedule.of("5", 5)
    return schedule.over(now - timedelta(days=6), now) and not schedule.over(now - timedelta(days=4), now)


async def test_too_much_that_waits_disables(
    settings: Settings, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook for which too much waits gets nothing more, until its owner takes it up again."""
    monkeypatch.setattr("services.realtime.usecases.planning.MAX_PENDING", 3)
    receiver.hold["/"] = asyncio.Event()
    token = world.token()
    async with running_node(settings) as node:
        webhook = (await made(node.url, token, receiver.url())).json()
        record = await world.create(world.pipeline(), name="Ann")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"{node.url}/api/v1", headers=headers) as client:

            async def disabled() -> bool:
                await world.update(record, {"score": 1})
                return bool((await client.get(f"/webhooks/{webhook['id']}")).json()["reason"] == "too-many-pending")

            await eventually(disabled)
        receiver.hold["/"].set()


async def test_what_cannot_be_taken_holds_up_no_other() -> None:
    """One change that breaks its taker is left out alone; what is away is not mistaken for that."""
    taken: list[int] = []
    changes = [_change(seq) for seq in range(1, 5)]

    async def take(_: UUID, batch: Sequence[Happened]) -> None:
        if any(it.change.seq == 3 for it in batch):
            raise ValueError("a fault")
        taken.extend(it.change.seq for it in batch)

    async def away(_: UUID, batch: Sequence[Happened]) -> None:
        raise Unavailable

    await following._given(take, new_id(), changes)
    assert taken == [1, 2, 4]
    with pytest.raises(Unavailable):
        await following._given(away, new_id(), changes)


def _change(seq: int) -> Happened:
    record = {"id": new_id(), "pipeline_id": new_id(), "version": 1, "data": {}}
    data = msgspec.Raw(msgspec.json.encode({"record": record}))
    _, _, payload = events.encode(new_id(), NewEvent("records.record.created", record["id"], data))
    found = following.happened(seq, payload.encode())
    assert found is not None
    return found

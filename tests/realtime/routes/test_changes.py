"""The change feed for machines."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from libs.common.events import STREAM
from libs.common.ids import new_id
from tests.realtime.support import Node, World, reader
from tests.support.waiting import eventually

Json = dict[str, Any]


@pytest.fixture
async def client(node: Node, world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may do everything."""
    headers = {"Authorization": f"Bearer {world.token()}"}
    async with httpx.AsyncClient(base_url=f"{node.url}/api/v1", headers=headers) as client:
        yield client


async def page(client: httpx.AsyncClient, token: str | None = None, status: int = 200, **params: Any) -> Json:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = await client.get("/changes", params=params, headers=headers)
    assert answer.status_code == status, answer.text
    body: Json = answer.json()
    return body


async def test_pages_follow_each_other_to_the_end(client: httpx.AsyncClient, world: World) -> None:
    """Following `next_since`, or `next_cursor`, gives every change of the tenant once and in order."""
    pipeline = world.pipeline()
    other = new_id()
    await world.create(world.pipeline(tenant=other), tenant=other, name="theirs")
    record = await world.create(pipeline, name="Ann")
    made = [await world.update(record, {"score": number}) for number in range(6)]
    first = await page(client, since=0, limit=4)
    assert [item["type"] for item in first["items"]] == ["record_created"] + ["record_updated"] * 3
    assert (first["has_more"], first["next_cursor"]) == (True, str(first["next_since"]))
    for more in ({"since": first["next_since"]}, {"cursor": first["next_cursor"]}):
        second = await page(client, limit=4, **more)
        assert [item["seq"] for item in second["items"]] == made[3:]
        assert (second["has_more"], second["next_cursor"], second["next_since"]) == (False, None, made[-1])
    assert (await page(client, since=made[-1]))["items"] == []
    item = second["items"][-1]
    assert (item["record"]["data"], item["changed"], item["actor"]["name"]) == (record["data"], ["score"], "Ada")


async def test_the_feed_shows_what_the_caller_may_see(client: httpx.AsyncClient, world: World) -> None:
    """Rules and masks hold in the feed as they do on sockets."""
    pipeline = world.pipeline()
    high = {"field": "score", "op": "gte", "value": 50}
    token = world.token(reader(row_rule=high, readable_fields=frozenset({"score"})))
    record = await world.create(pipeline, name="Ann", score=1)
    for score in (60, 70, 2):
        await world.update(record, {"score": score})
    items = (await page(client, token, since=0))["items"]
    assert [item["type"] for item in items] == ["record_entered", "record_updated", "record_left"]
    assert [item["record"].get("data") for item in items] == [{"score": 60}, {"score": 70}, None]


async def test_the_feed_of_one_pipeline(client: httpx.AsyncClient, world: World) -> None:
    """`pipeline_id` leaves the others out."""
    one, other = world.pipeline(), world.pipeline()
    await world.create(one, name="one")
    await world.create(other, name="other")
    items = (await page(client, since=0, pipeline_id=str(other)))["items"]
    assert [item["record"]["title"] for item in items] == ["other"]


async def test_a_position_that_is_too_old_is_gone(client: httpx.AsyncClient, world: World) -> None:
    """What the stream has forgotten is 410, and so is a position that it never had."""
    record = await world.create(world.pipeline(), name="Ann")
    for number in range(5):
        last = await world.update(record, {"score": number})
    await world.bus.jetstream.purge_stream(STREAM, seq=last)
    assert (await page(client, since=1, status=410))["type"] == "/problems/position-too-old"
    assert (await page(client, since=10**9, status=410))["type"] == "/problems/position-unknown"
    assert [item["seq"] for item in (await page(client, since=last - 1))["items"]] == [last]


BAD: list[tuple[Json, int]] = [
    ({}, 422),
    ({"since": -1}, 422),
    ({"since": "x"}, 422),
    ({"since": 2**70}, 422),
    ({"since": 0, "limit": 0}, 422),
    ({"since": 0, "limit": 201}, 422),
    ({"cursor": "?"}, 422),
    ({"since": 0, "pipeline_id": "x"}, 404),
]


async def test_bad_parameters_are_named(client: httpx.AsyncClient) -> None:
    """Whatever is wrong with the question is told in a problem document."""
    for params, status in BAD:
        body = await page(client, status=status, **params)
        assert body["status"] == status, params


async def test_without_a_grant_there_is_no_feed(client: httpx.AsyncClient, world: World) -> None:
    """Who may read no records is forbidden the feed; who has no token is not known."""
    nothing = world.issuer.token(world.tenant, world.issuer.role(world.tenant, []))
    assert (await page(client, nothing, status=403))["type"] == "/problems/forbidden"
    client.headers.pop("authorization")
    assert (await page(client, status=401, since=0))["type"] == "/problems/unauthenticated"


async def test_a_poll_waits_for_what_happens(client: httpx.AsyncClient, world: World) -> None:
    """An empty page is held back until a change comes that may be seen, or the time is up."""
    record = await world.create(world.pipeline(), name="Ann")
    begin = (await page(client, since=0))["next_since"]
    waiting = asyncio.create_task(page(client, since=begin, wait=25))

    async def waits() -> bool:
        found = await client.get(str(client.base_url).replace("/api/v1/", "/metrics"))
        return "realtime_sockets 1.0" in found.text

    await eventually(waits)
    seq = await world.update(record, {"score": 1})
    async with asyncio.timeout(20):
        assert [item["seq"] for item in (await waiting)["items"]] == [seq]
    empty = await page(client, since=seq, wait=0.2)
    assert (empty["items"], empty["next_since"]) == ([], seq)
    assert (await page(client, since=seq, wait=26, status=422))["errors"][0]["pointer"] == "/wait"


@dataclass
class Events:
    """A stream of server-sent events as it is read."""

    lines: AsyncIterator[str]
    position: str = ""

    async def next(self) -> tuple[str, Json]:
        """The type and data of the next event."""
        kind = ""
        async with asyncio.timeout(60):
            async for line in self.lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.position = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    return kind, json.loads(value)
        raise EOFError


@asynccontextmanager
async def events(client: httpx.AsyncClient, position: str = "", **more: Any) -> AsyncIterator[Events]:
    headers = {"Last-Event-ID": position} if position else {}
    async with client.stream("GET", "/changes/stream", headers=headers, **more) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Events(answer.aiter_lines())


async def test_a_stream_goes_on_where_it_broke_off(client: httpx.AsyncClient, world: World) -> None:
    """Changes come as events with their positions; `Last-Event-ID` goes on after one, with none missed or doubled."""
    pipeline = world.pipeline()
    record = await world.create(pipeline, name="Ann")
    async with events(client, params={"since": 0}) as stream:
        kind, item = await stream.next()
        assert (kind, item["record"]["id"]) == ("record_created", record["id"])
        made = [await world.update(record, {"score": score}) for score in range(3)]
        assert [(await stream.next())[1]["seq"] for _ in made] == made
        position = str(made[0])
    await world.create(world.pipeline(), name="elsewhere")
    last = await world.update(record, {"score": 9})
    async with events(client, position, params={"pipeline_id": str(pipeline)}) as stream:
        assert [(await stream.next())[1]["seq"] for _ in range(3)] == [*made[1:], last]
        assert stream.position == str(last)


async def test_a_stream_ends_with_its_session(client: httpx.AsyncClient, world: World) -> None:
    """A revoked session's stream says why it ends, and a token's stream ends with the token."""
    token = world.token()
    async with _stream_of(client, token) as stream:
        await world.revoke(token)
        assert await stream.next() == ("end", {"code": "session-revoked", "detail": "The session has ended"})
        with pytest.raises(EOFError):
            await stream.next()
    async with _stream_of(client, world.token(seconds=5)) as stream:
        assert (await stream.next())[1]["code"] == "token-expired"


@asynccontextmanager
async def _stream_of(client: httpx.AsyncClient, token: str) -> AsyncIterator[Events]:
    headers = {"Authorization": f"Bearer {token}"}
    async with client.stream("GET", "/changes/stream", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield Events(answer.aiter_lines())


async def test_a_stream_shows_by_the_present_role(client: httpx.AsyncClient, world: World) -> None:
    """A role that changes while a stream is open changes what it shows from then on."""
    pipeline = world.pipeline()
    token = world.token(reader())
    async with _stream_of(client, token) as stream:
        record = await world.create(pipeline, name="Ann", score=1)
        assert (await stream.next())[1]["record"]["data"] == {"name": "Ann", "score": 1}
        await world.change_role(token, reader(readable_fields=frozenset({"score"})))
        for score in range(2, 60):
            await world.update(record, {"score": score})
            shown = (await stream.next())[1]["record"]["data"]
            if shown.keys() == {"score"}:
                return
        pytest.fail("the mask did not come into force")


async def test_a_position_that_is_too_old_opens_no_stream(client: httpx.AsyncClient, world: World) -> None:
    """What the stream has forgotten is 410 before anything is streamed."""
    record = await world.create(world.pipeline(), name="Ann")
    last = await world.update(record, {"score": 1})
    await world.bus.jetstream.purge_stream(STREAM, seq=last)
    answer = await client.get("/changes/stream", params={"since": 0})
    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/position-too-old")
    answer = await client.get("/changes/stream", headers={"Last-Event-ID": "x"})
    assert answer.status_code == 422


async def test_rules_that_reach_are_judged_by_records(client: httpx.AsyncClient, world: World) -> None:
    """Where a rule looks at other records, the feed shows what records shows; where nobody can tell, it is 410."""
    pipeline = world.pipeline({"name": "company", "type": "relation", "cardinality": "many_to_one"})
    token = world.token(reader(row_rule={"field": "company.name", "op": "eq", "value": "x"}))
    seen = await world.create(pipeline, company=str(new_id()))
    hidden = await world.create(pipeline, company=str(new_id()))
    hidden["hidden"] = True
    await world.update(hidden, {"note": "x"})
    last = await world.update(seen, {"note": "y"})
    found = await page(client, token, since=0)
    assert [item["record"]["id"] for item in found["items"]] == [seen["id"]] * 2
    assert [item["type"] for item in found["items"]] == ["record_created", "record_updated"]
    unclear = await world.update(hidden, {"company": None})
    answer = await page(client, token, since=last, status=410)
    assert (answer["type"], answer["next_since"]) == ("/problems/visibility-unknown", unclear)
    assert (await page(client, token, since=unclear))["items"] == []

"""The change feed for machines."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from libs.common.events import STREAM
from libs.common.ids import new_id
from tests.realtime.support import Node, World, reader

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


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 422),
        ({"since": -1}, 422),
        ({"since": "x"}, 422),
        ({"since": 2**70}, 422),
        ({"since": 0, "limit": 0}, 422),
        ({"since": 0, "limit": 201}, 422),
        ({"cursor": "?"}, 422),
        ({"since": 0, "pipeline_id": "x"}, 404),
    ],
)
async def test_bad_parameters_are_named(client: httpx.AsyncClient, params: Json, status: int) -> None:
    """Whatever is wrong with the question is told in a problem document."""
    body = await page(client, status=status, **params)
    assert body["status"] == status


async def test_without_a_grant_there_is_no_feed(client: httpx.AsyncClient, world: World) -> None:
    """Who may read no records is forbidden the feed; who has no token is not known."""
    nothing = world.issuer.token(world.tenant, world.issuer.role(world.tenant, []))
    assert (await page(client, nothing, status=403))["type"] == "/problems/forbidden"
    client.headers.pop("authorization")
    assert (await page(client, status=401, since=0))["type"] == "/problems/unauthenticated"

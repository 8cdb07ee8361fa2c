"""Nobody learns live what they may not read: two stories that differ in hidden values alone are told alike."""

import json
import re
from typing import Any
from uuid import UUID

import httpx

from libs.common.permissions import Grant
from millrace.client import Live
from tests.realtime.support import Node, World, reader

Json = dict[str, Any]

ONE, OTHER = ("alphabet", "beta", 1000), ("zeppelin", "yard", 3)
GUESSES = ("alphabet", "c", "5")
MARK = "the end"

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_NUMBER = re.compile(r'"(seq|next_since|id)": "?\d+"?|"next_cursor": ("\d+"|null)')


async def tell(world: World, pipeline: UUID, hidden: tuple[str, str, int]) -> None:
    """A record comes, changes in what is shown and in what is hidden, goes and comes back; then there is a mark."""
    first, second, number = hidden
    record = await world.create(pipeline, announce=False, name="Thing", secret=first, score=number)
    record["title"] = f"Thing: {first}"
    await world.announce("created", record, changed=["name", "secret", "score"])
    record["title"] = f"Thing: {second}"
    await world.update(record, {"secret": second})
    await world.update(record, {"score": number + 1})
    await world.update(record, {"name": "Things", "secret": first})
    await world.announce("deleted", record)
    await world.announce("restored", record)
    await world.create(pipeline, name=MARK)


def alike(told: object) -> str:
    """What was told without what differs by chance: ids, times and positions."""
    known: dict[str, str] = {}
    text = _ID.sub(lambda match: known.setdefault(match[0], f"id{len(known)}"), json.dumps(told))
    return _NUMBER.sub("number", _TIME.sub("time", text))


async def frames(live: Live, channel: str) -> list[Json]:
    """The frames of a channel up to that of the mark."""
    found: list[Json] = []
    while True:
        frame = live.unread.pop(0) if live.unread else await live.receive()
        if frame.get("channel") == channel:
            found.append(frame)
            if frame.get("record", {}).get("data", {}).get("name") == MARK:
                return found


async def refusals(live: Live, channel: str) -> list[Json]:
    """What is answered to subscriptions that ask about what is hidden."""
    found: list[Json] = []
    for field in ("secret", "score", "title"):
        for op in ("eq", "gte", "starts_with", "is_null"):
            for guess in GUESSES:
                value = True if op == "is_null" else guess
                tree = {"or": [{"field": "name", "value": "x"}, {"field": field, "op": op, "value": value}]}
                await live.send(type="subscribe", channel=channel, filter=tree)
                found.append(await live.expect("error"))
    return found


async def pages(client: httpx.AsyncClient, **params: Any) -> list[Json]:
    """The items of a feed, one on each page."""
    found: list[Json] = []
    while True:
        answer = await client.get("/changes", params={**params, "limit": 1, "wait": 0.05})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if not answer.json()["has_more"]:
            return found
        params["since"] = answer.json()["next_since"]


async def streamed(client: httpx.AsyncClient, **params: Any) -> list[Json]:
    """The items of the stream of server-sent events up to the mark."""
    found: list[Json] = []
    async with client.stream("GET", "/changes/stream", params=params) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                found.append(json.loads(line.removeprefix("data:")))
                if found[-1].get("record", {}).get("data", {}).get("name") == MARK:
                    return found
    raise AssertionError(found)


async def probed(node: Node, world: World, hidden: tuple[str, str, int]) -> dict[str, Any]:
    """All that one is told who reads names alone: by sockets, again after a break, and by each form of the feed."""
    pipeline = world.pipeline(title_template="{name}: {secret}")
    grants = reader(pipeline, readable_fields=frozenset({"name"})), Grant("webhooks", ("*",))
    token = world.token(*grants)
    begin = await world.create(world.pipeline(), name="before")
    since = await world.update(begin, {"score": 1})
    channel = f"pipeline:{pipeline}"
    told: dict[str, Any] = {}
    async with node.live(token) as live, node.live(token) as whole, node.live(token) as late:
        told["refused"] = await refusals(live, channel)
        await live.subscribe(channel)
        await whole.subscribe("tenant")
        await tell(world, pipeline, hidden)
        told["channel"] = await frames(live, channel)
        told["tenant"] = await frames(whole, "tenant")
        await late.subscribe(channel, from_seq=since, filter={"field": "name", "op": "starts_with", "value": "T"})
        await world.create(pipeline, name="T")
        told["resumed"] = [await late.expect(kind) for kind in ("record_created", "record_updated", "record_deleted")]
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{node.url}/api/v1", headers=headers, timeout=60) as client:
        told["feed"] = await pages(client, since=since)
        told["of the pipeline"] = await pages(client, since=since, pipeline_id=str(pipeline))
        told["stream"] = await streamed(client, since=since, pipeline_id=str(pipeline))
        hook = {"url": "https://example.com/", "events": ["*"], "pipeline_id": str(pipeline)}
        for field in ("secret", "score", "title"):
            tree = {"field": field, "op": "gte", "value": GUESSES[0]}
            answer = await client.post("/webhooks", json={**hook, "filter": tree})
            told[f"webhook by {field}"] = [answer.status_code, answer.json()]
    return told


async def test_hidden_values_change_nothing_that_is_told(node: Node, world: World) -> None:
    """Channels, what is caught up with, refused filters, pages of the feed, its stream and webhooks tell nothing."""
    one, other = await probed(node, world, ONE), await probed(node, world, OTHER)
    assert {name: alike(it) for name, it in one.items()} == {name: alike(it) for name, it in other.items()}
    for told, (first, second, number) in ((one, ONE), (other, OTHER)):
        shown = json.dumps({name: it for name, it in told.items() if name != "refused"})
        assert [value for value in (first, second, f'"score": {number}') if value in shown] == []
        assert "Things" in shown

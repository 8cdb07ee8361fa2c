"""Row rules that look at other records: only records can judge them, and is asked."""

from typing import Any
from uuid import UUID

import pytest

from libs.common.errors import Unavailable
from millrace.client import Live
from tests.realtime.support import Node, World, claims, quiet, reader

RULE = {"field": "company.industry", "value": "steel"}


@pytest.fixture
def pipeline(world: World) -> UUID:
    """A pipeline whose records belong to companies."""
    company = {"name": "company", "type": "relation", "cardinality": "many_to_one"}
    return world.pipeline({"name": "name", "type": "text"}, company)


@pytest.fixture
def token(world: World) -> str:
    """The token of a user who may see records of steel companies."""
    return world.token(reader(row_rule=RULE))


def told(frames: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(frame["type"], frame["record"]["id"]) for frame in frames if "record" in frame]


async def after(live: Live, world: World, pipeline: UUID) -> list[dict[str, Any]]:
    """The frames before that of a visible record which is made now."""
    mark = await world.create(pipeline, name="mark")
    frames = []
    while True:
        frame = live.unread.pop(0) if live.unread else await live.receive()
        if frame.get("record", {}).get("id") == mark["id"]:
            return frames
        frames.append(frame)


async def test_what_records_shows_is_told(node: Node, world: World, pipeline: UUID, token: str) -> None:
    """Visible records are told in order as records shows them, invisible ones are not, and those that leave, leave."""
    async with node.live(token) as live:
        await live.subscribe(f"pipeline:{pipeline}")
        seen = await world.create(pipeline, name="seen")
        hidden = await world.create(pipeline, name="hidden", announce=False)
        hidden["hidden"] = True
        await world.update(hidden, {"name": "still hidden"})
        await world.update(seen, {"name": "Ann"})
        created, updated = await live.expect("record_created"), await live.expect("record_updated")
        seen["hidden"] = True
        await world.update(seen, {"company": "another"})
        left = await live.expect("record_left")
        assert told(await after(live, world, pipeline)) == []
    assert {frame["record"]["id"] for frame in (created, updated, left)} == {seen["id"]}
    assert (updated["changed"], updated["record"]["data"]) == (["name"], {"name": "Ann"})
    assert (created["channel"], left["record"].get("data")) == (f"pipeline:{pipeline}", None)


async def test_what_cannot_be_known_must_be_read_anew(node: Node, world: World, pipeline: UUID, token: str) -> None:
    """A record that may or may not have left the view ends the subscription with the order to resync."""
    record = await world.create(pipeline, name="Ann")
    async with node.live(token) as live:
        await live.subscribe(f"pipeline:{pipeline}")
        record["hidden"] = True
        await world.update(record, {"company": "another"})
        assert (await live.expect("resync_required"))["channel"] == f"pipeline:{pipeline}"
        await world.update(record, {"company": "third"})
        assert told(await quiet(live)) == []


async def test_when_records_is_away_the_client_must_read_anew(
    node: Node, world: World, pipeline: UUID, token: str
) -> None:
    """A question without an answer ends the subscription rather than losing the change."""
    async with node.live(token) as live:
        await live.subscribe(f"pipeline:{pipeline}")
        world.away = Unavailable()
        await world.create(pipeline, name="Ann")
        await live.expect("resync_required")


async def test_what_was_missed_is_asked_for_as_well(node: Node, world: World, pipeline: UUID, token: str) -> None:
    """Resuming asks about each missed change, and goes on live in order."""
    first = await world.create(pipeline, name="first")
    start = await world.update(first, {"name": "x"})
    made = [await world.create(pipeline, name=str(number)) for number in range(5)]
    async with node.live(world.token()) as other, node.live(token) as live:
        await other.subscribe("tenant")
        made += [await world.create(pipeline, name="in memory")]
        await live.subscribe(f"pipeline:{pipeline}", from_seq=start)
        made += [await world.create(pipeline, name="live")]
        assert [(await live.expect("record_created"))["record"]["id"] for _ in made] == [one["id"] for one in made]


async def test_who_comes_back_is_let_in_by_what_records_shows(
    node: Node, world: World, pipeline: UUID, token: str
) -> None:
    """Who resumes a record is let in where records shows it to them, and told that there is none where it is hidden."""
    made = [await world.create(pipeline, name=str(number)) for number in range(3)]
    async with node.live(token) as live:
        starts = [(await live.subscribe(f"record:{one['id']}"))["seq"] for one in made]
    made[2]["hidden"] = True
    async with node.live(token) as live:
        for one, seq in zip(made[:2], starts, strict=False):
            assert (await live.subscribe(f"record:{one['id']}", from_seq=seq))["seq"] == seq
        await live.send(type="subscribe", channel=f"record:{made[2]['id']}", from_seq=starts[2])
        await live.expect("error", code="not-found")


async def test_the_maker_of_a_field_update_is_only_acknowledged(
    node: Node, world: World, pipeline: UUID, token: str
) -> None:
    """In a record's channel the others get the field, also where it had to be asked for."""
    record = await world.create(pipeline, name="Ann")
    async with node.live(token) as sender, node.live(token) as tab:
        for live in (sender, tab):
            await live.subscribe(f"record:{record['id']}")
        await sender.send(type="field_update", field="name", value="Eve", operation_id="one")
        await sender.expect("ack")
        assert (await tab.expect("field_update"))["user"]["id"] == claims(token)["sub"]
        assert told(await quiet(sender)) == []

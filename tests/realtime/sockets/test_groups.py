"""Live counts and sums of a pipeline's groups."""

import asyncio
from typing import Any

from libs.common.errors import Forbidden, Invalid
from millrace.client import Live
from tests.realtime.support import Json, Node, World, quiet, reader
from tests.support.waiting import eventually


def columns(frame: Json, metric: str = "count") -> dict[str, Any]:
    """The metric of each group of a frame."""
    return {group["group"]["name"]: group["metrics"][metric] for group in frame["groups"]}


async def until(live: Live, expected: dict[str, Any], metric: str = "count") -> Json:
    """The frame that tells these groups; others may come before."""
    while columns(frame := await live.expect("groups"), metric) != expected:
        pass
    return frame


async def test_a_board_follows_its_groups(node: Node, world: World) -> None:
    """The groups come with the subscription, and again when records come, move and go; the records come besides."""
    pipeline = world.pipeline()
    first = await world.create(pipeline, name="new", score=5)
    async with node.live(world.token()) as live:
        await live.subscribe(f"pipeline:{pipeline}", group_by="name", metrics="count,sum:score")
        await until(live, {"new": 1})
        second = await world.create(pipeline, name="new", score=7)
        await live.expect("record_created")
        frame = await until(live, {"new": 12}, "sum:score")
        assert frame["channel"] == f"pipeline:{pipeline}"
        await world.update(second, {"name": "won"})
        await until(live, {"new": 1, "won": 1})
        await world.delete(first)
        await until(live, {"won": 1})


async def test_a_crowd_counts_once(node: Node, world: World) -> None:
    """Many boards of people who may see the same are counted once, also when all come at the same time."""
    pipeline, token = world.pipeline(), world.token()
    await world.create(pipeline, announce=False, name="new", score=5)
    everybody = asyncio.Barrier(30)

    async def one() -> None:
        async with node.live(token) as live:
            await everybody.wait()
            await live.subscribe(f"pipeline:{pipeline}", group_by="name")
            await until(live, {"new": 1})
            await everybody.wait()

    await asyncio.gather(*(one() for _ in range(30)))
    assert world.counts == 1


async def test_what_is_not_seen_is_not_counted_again(node: Node, world: World) -> None:
    """A change that the filter or a rule hides is no reason to count; who counts nothing is told nothing."""
    pipeline = world.pipeline()
    await world.create(pipeline, name="new", score=5)
    rule = reader(row_rule={"field": "score", "op": "lt", "value": 10})
    async with node.live(world.token(rule)) as live, node.live(world.token()) as plain:
        await plain.subscribe(f"pipeline:{pipeline}")
        tree = {"field": "name", "op": "eq", "value": "new"}
        await live.subscribe(f"pipeline:{pipeline}", filter=tree, group_by="name")
        await until(live, {"new": 1})
        before = world.counts
        await world.create(pipeline, name="old", score=5)
        await world.create(pipeline, name="new", score=50)
        await plain.expect("record_created")
        await plain.expect("record_created")
        assert [frame["type"] for frame in await quiet(live) if "presence" not in frame["type"]] == []
        assert world.counts == before
        assert "groups" not in [frame["type"] for frame in await quiet(plain)]


async def test_what_moves_nothing_is_not_counted_again(node: Node, world: World) -> None:
    """A change of what is neither grouped by nor measured is told and no reason to count; all others are."""
    pipeline = world.pipeline()
    record = await world.create(pipeline, name="new", score=5, secret="x")
    some = reader(row_rule={"field": "score", "op": "gt", "value": 9}, readable_fields=frozenset({"name", "score"}))
    masked = world.token(some, reader(readable_fields=frozenset({"score"})))
    async with node.live(world.token()) as live, node.live(masked) as dim:
        await live.subscribe(f"pipeline:{pipeline}", group_by="name", metrics="count, sum:score")
        await until(live, {"new": 1})
        before = world.counts
        for secret in ("y", "z"):
            await world.update(record, {"secret": secret})
            await live.expect("record_updated")
        assert [frame["type"] for frame in await quiet(live) if "presence" not in frame["type"]] == []
        assert world.counts == before
        await world.update(record, {"score": 6})
        await until(live, {"new": 6}, "sum:score")
        await dim.subscribe(f"pipeline:{pipeline}", group_by="name")
        before = world.counts
        await world.update(record, {"secret": "where rows decide what is seen, anything may count"})

        async def counted() -> bool:
            return world.counts > before

        await eventually(counted)


async def test_other_permissions_count_anew(node: Node, world: World) -> None:
    """When a role changes the groups are counted by what it allows then."""
    pipeline, token = world.pipeline(), world.token(reader())
    record = await world.create(pipeline, name="new", score=5)
    async with node.live(token) as live:
        await live.subscribe(f"pipeline:{pipeline}", group_by="name")
        await until(live, {"new": 1})
        record["hidden"] = True
        await world.change_role(token, reader(row_rule={"field": "score", "op": "gt", "value": 9}))
        await until(live, {})


async def test_what_cannot_be_counted_is_refused(node: Node, world: World) -> None:
    """A field that may not be grouped by, or another channel, is an error, and the subscription does not begin."""
    pipeline = world.pipeline()
    record = await world.create(pipeline, name="new")
    async with node.live(world.token()) as live:
        await live.send(type="subscribe", channel=f"record:{record['id']}", group_by="name")
        await live.expect("error", code="groups-not-taken")
        for refusal in (Invalid(), Forbidden()):
            world.refuse = refusal
            await live.send(type="subscribe", channel=f"pipeline:{pipeline}", group_by="secret")
            await live.expect("error", code=refusal.code)
        world.refuse = None
        await world.create(pipeline, name="new")
        assert await quiet(live) == []

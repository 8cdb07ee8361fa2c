"""Subscriptions: what is told of a change, to whom, and what is refused."""

import asyncio
from uuid import uuid4

from tests.realtime.support import Node, World, quiet, reader


async def test_a_change_reaches_the_channels_of_record_pipeline_and_tenant(node: Node, world: World) -> None:
    """One update arrives once in each subscribed channel that it belongs to, with position, record and changed names."""
    record = await world.create(world.pipeline(), name="Ann", score=1)
    async with node.live(world.token()) as live:
        channels = [f"record:{record['id']}", f"pipeline:{record['pipeline_id']}", "tenant"]
        for channel in channels:
            await live.subscribe(channel)
        seq = await world.update(record, {"score": 2})
        for channel in channels:
            frame = await live.expect("record_updated", channel=channel)
            assert (frame["seq"], frame["changed"], frame["record"]["data"]) == (seq, ["score"], record["data"])
        assert [f for f in await quiet(live) if f["type"].startswith("record_")] == []

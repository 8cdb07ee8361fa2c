"""Working together on one record, over sockets."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from millrace.client import Live
from tests.journeys.crm import colleague, make_pipeline, make_record, number, text, told
from tests.support.platform import Platform, Tenant

pytestmark = pytest.mark.journey


async def test_the_second_socket_receives_the_first_ones_field_update(stack: Platform, tenant: Tenant) -> None:
    """Two people watch one record; what one types reaches the other, an ack the sender, and the database."""
    pipeline = await make_pipeline(tenant.client, "Deals", text("name"))
    record = await make_record(tenant.client, pipeline, {"name": "Before"})
    channel = f"record:{record['id']}"
    async with (
        colleague(stack.url, tenant, "member") as (member, api, token),
        Live.open(stack.url, tenant.access_token) as first,
        Live.open(stack.url, token) as second,
    ):
        await second.subscribe(channel)
        await first.subscribe(channel)
        joined = await second.expect("presence_join", channel=channel)
        assert joined["user"]["id"] == tenant.user["id"]

        update = {"record_id": record["id"], "field": "name", "value": "After", "operation_id": "one"}
        await first.send(type="field_update", **update)
        seen = await second.expect("field_update", field="name")
        ack = await first.expect("ack", operation_id="one")

        assert (seen["value"], seen["user"]["id"]) == ("After", tenant.user["id"])
        assert ack["version"] == seen["version"]
        stored = told(await api.get(f"/pipelines/{pipeline['id']}/records/{record['id']}"))
        assert (stored["data"]["name"], stored["version"]) == ("After", ack["version"])
        assert member["id"] != tenant.user["id"]


async def test_a_board_is_told_the_sums_of_its_columns(stack: Platform, tenant: Tenant) -> None:
    """Counts and sums per group come with the subscription and follow what requests change."""
    pipeline = await make_pipeline(tenant.client, "Deals", text("state"), number("amount"))
    record = await make_record(tenant.client, pipeline, {"state": "new", "amount": 5})
    async with Live.open(stack.url, tenant.access_token) as live:
        await live.subscribe(f"pipeline:{pipeline['id']}", group_by="state", metrics="count,sum:amount")
        first = await live.expect("groups")
        assert first["groups"] == [{"group": {"state": "new"}, "metrics": {"count": 1, "sum:amount": 5}}]
        path = f"/pipelines/{pipeline['id']}/records/{record['id']}"
        told(await tenant.client.patch(path, json={"data": {"state": "won", "amount": 7}}))
        second = await live.expect("groups")
        assert second["groups"] == [{"group": {"state": "won"}, "metrics": {"count": 1, "sum:amount": 7}}]
        assert second["seq"] >= first["seq"]


async def test_a_socket_hears_of_changes_made_by_requests(stack: Platform, tenant: Tenant) -> None:
    """Creation, change and deletion of a record reach a socket on its pipeline, in this order."""
    pipeline = await make_pipeline(tenant.client, "Deals", text("name"), number("amount"))
    async with Live.open(stack.url, tenant.access_token) as live:
        await live.subscribe(f"pipeline:{pipeline['id']}")
        record = await make_record(tenant.client, pipeline, {"name": "One"})
        path = f"/pipelines/{pipeline['id']}/records/{record['id']}"
        told(await tenant.client.patch(path, json={"data": {"amount": 5}}))
        told(await tenant.client.delete(path), 204)

        created = await live.expect("record_created")
        updated = await live.expect("record_updated")
        deleted = await live.expect("record_deleted")
        assert updated["changed"] == ["amount"]
        assert created["record"]["id"] == updated["record"]["id"] == deleted["record"]["id"] == record["id"]
        assert created["seq"] < updated["seq"] < deleted["seq"]


async def test_a_socket_resumes_without_a_gap(stack: Platform, tenant: Tenant) -> None:
    """What happened while a client was away is delivered when it subscribes from where it was."""
    pipeline = await make_pipeline(tenant.client, "Deals", text("name"))
    channel = f"pipeline:{pipeline['id']}"
    async with Live.open(stack.url, tenant.access_token) as live:
        await live.subscribe(channel)
        await make_record(tenant.client, pipeline, {"name": "Seen"})
        seen = await live.expect("record_created")
    missed = [(await make_record(tenant.client, pipeline, {"name": f"Missed {n}"}))["id"] for n in range(3)]
    async with Live.open(stack.url, tenant.access_token) as live:
        await live.subscribe(channel, from_seq=seen["seq"])
        assert [(await live.expect("record_created"))["record"]["id"] for _ in missed] == missed


async def test_changes_stream_through_the_gateway(tenant: Tenant) -> None:
    """A server-sent event arrives while the answer goes on: nothing on the way waits for the end of it."""
    pipeline = await make_pipeline(tenant.client, "Deals", text("name"))
    async with tenant.client.stream("GET", "/changes/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        record = await make_record(tenant.client, pipeline, {"name": "Live"})
        async with asyncio.timeout(60):
            lines = [line async for line in _until_data(answer.aiter_lines())]
    item = json.loads(lines[-1].removeprefix("data: "))
    assert (lines[-2], item["record"]["id"]) == ("event: record_created", record["id"])


async def _until_data(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line.startswith("data: "):
            return

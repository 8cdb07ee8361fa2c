"""Locks and shared documents through the gateway, with the records themselves."""

import asyncio

import pytest

from millrace.client import Live
from tests.journeys.crm import colleague, make_pipeline, make_record, text, told
from tests.support.platform import Platform, Tenant
from tests.support.waiting import eventually
from tests.support.yjs import Peer

pytestmark = pytest.mark.journey


async def test_a_text_is_edited_together_and_by_requests(stack: Platform, tenant: Tenant) -> None:
    """What two people type and what a PATCH sets are in one text, in both copies and in the record, with history."""
    notes = {"name": "notes", "type": "textarea", "collaborative": True}
    pipeline = await make_pipeline(tenant.client, "Notes", notes)
    record = await make_record(tenant.client, pipeline, {"notes": "Hello"})
    path, address = f"/pipelines/{pipeline['id']}/records/{record['id']}", f"{stack.url}/ws/docs/{record['id']}/notes"
    async with colleague(stack.url, tenant, "member") as (member, _, token):
        ann, bob = Peer(address, tenant.access_token), Peer(address, token)
        async with ann.online(), bob.online():
            await asyncio.gather(ann.reads("Hello"), bob.reads("Hello"))
            bob.text += " world"
            await ann.reads("Hello world")

            async def written() -> bool:
                return bool(told(await tenant.client.get(path))["data"]["notes"] == "Hello world")

            await eventually(written)
            lines = told(await tenant.client.get(f"{path}/history"))["items"]
            assert lines[0]["actor"]["id"] == member["id"]
            told(await tenant.client.patch(path, json={"data": {"notes": "Hello, dear world"}}))
            ann.text += "!"
            await asyncio.gather(ann.reads("Hello, dear world!"), bob.reads("Hello, dear world!"))

            async def merged() -> bool:
                return bool(told(await tenant.client.get(path))["data"]["notes"] == "Hello, dear world!")

            await eventually(merged)


async def test_a_locked_field_is_its_holders(stack: Platform, tenant: Tenant) -> None:
    """A lock by one socket keeps another's update and a PATCH out, the token lets in, and the end of it all."""
    pipeline = await make_pipeline(tenant.client, "Deals", text("name"))
    record = await make_record(tenant.client, pipeline, {"name": "Before"})
    channel, path = f"record:{record['id']}", f"/pipelines/{pipeline['id']}/records/{record['id']}"
    async with (
        colleague(stack.url, tenant, "member") as (_, api, token),
        Live.open(stack.url, tenant.access_token) as first,
        Live.open(stack.url, token) as second,
    ):
        await first.subscribe(channel)
        await second.subscribe(channel)
        await first.send(type="lock", field="name")
        held = await first.expect("locked")
        shown = await second.expect("locked")
        assert shown["user"]["id"] == tenant.user["id"]
        await second.send(type="field_update", field="name", value="No", operation_id="no")
        assert (await second.expect("conflict"))["holder"]["id"] == tenant.user["id"]
        refused = await api.patch(path, json={"data": {"name": "No"}})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/locked")
        await first.send(type="field_update", field="name", value="Mine", operation_id="mine")
        await first.expect("ack")
        headers = {"X-Lock-Token": str(held["token"])}
        told(await tenant.client.patch(path, json={"data": {"name": "Also"}}, headers=headers))
        await first.send(type="unlock", field="name")
        await second.expect("unlocked")
        told(await api.patch(path, json={"data": {"name": "Free"}}))
        late = await tenant.client.patch(path, json={"data": {"name": "Late"}}, headers=headers)
        assert (late.status_code, late.json()["type"]) == (409, "/problems/lock-lost")

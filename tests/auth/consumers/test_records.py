"""What records tells of and the audit log keeps."""

from typing import Any
from uuid import uuid4

import msgspec

from libs.common import events
from libs.common.bus import Bus, Outgoing
from libs.common.events import NewEvent
from tests.auth.support import Tenant
from tests.support.waiting import eventually


async def tell(bus: Bus, tenant: Tenant, type_: str, data: dict[str, Any], times: int = 1) -> None:
    """An event, delivered so many times."""
    new = NewEvent(type_, uuid4(), msgspec.Raw(msgspec.json.encode(data)))
    _, subject, payload = events.encode(tenant.id, new)
    await bus.ready()
    for number in range(times):
        await bus.publish([Outgoing(subject, payload.encode(), f"{uuid4()} {number}")])


async def noted(tenant: Tenant, *actions: str) -> list[dict[str, Any]]:
    """The entries of these actions, as soon as each is there."""

    async def found() -> list[dict[str, Any]]:
        items = (await tenant.ask("GET", "/admin/audit-log", params={"limit": 200})).json()["items"]
        return [it for it in items if it["action"] in actions]

    async def all_there() -> bool:
        return {it["action"] for it in await found()} == set(actions)

    await eventually(all_there)
    return await found()


async def test_exports_links_and_what_is_gone_for_good_are_noted(tenant: Tenant, bus: Bus) -> None:
    """Each once however often it is told, with who did it; jobs of other kinds and their progress are not."""
    owner, pipeline, thing = tenant.told["user"]["id"], str(uuid4()), str(uuid4())
    by = {"id": owner, "kind": "user", "name": "Olga Owner"}
    job = {"id": thing, "kind": "export", "created_by": owner, "pipeline_id": pipeline, "progress": {"done": 7}}
    await tell(bus, tenant, "records.job.created", job | {"kind": "import"})
    await tell(bus, tenant, "records.job.updated", job)
    await tell(bus, tenant, "records.job.done", job, times=2)
    link = {"id": thing, "kind": "view", "pipeline_id": pipeline, "target_id": thing, "owner_id": owner}
    await tell(bus, tenant, "records.link.created", link)
    await tell(bus, tenant, "records.tombstone.created", {"id": thing, "pipeline_id": pipeline, "by": by})
    await tell(bus, tenant, "records.tombstone.created", {"id": thing, "pipeline_id": pipeline})
    streamed = {"id": thing, "pipeline_id": pipeline, "format": "csv", "by": by}
    await tell(bus, tenant, "records.export.streamed", streamed)
    merge = {"id": thing, "pipeline_id": pipeline, "target_id": thing, "sources": [pipeline], "by": by}
    for verb in ("created", "undone"):
        await tell(bus, tenant, f"records.merge.{verb}", merge)
    merging = "record.merged", "record.parted"
    entries = await noted(tenant, "export.done", "link.created", "record.purged", "export.streamed", *merging)
    told = {it["action"]: it for it in entries if it["actor"]}
    assert {it["actor"]["id"] for it in told.values()} == {owner}
    assert told["export.done"]["details"].items() >= {"pipeline_id": pipeline, "records": "7"}.items()
    assert told["export.streamed"]["details"]["format"] == "csv"
    assert [told[it]["details"]["sources"] for it in merging] == [pipeline] * 2
    assert told["link.created"]["details"].items() >= {"of": "view", "target_id": thing}.items()
    everything = (await tenant.ask("GET", "/admin/audit-log", params={"limit": 200})).json()["items"]
    assert sorted(it["action"] for it in everything if it["action"].startswith("export.")) == [
        "export.done", "export.streamed"
    ]  # fmt: skip

"""Roles name fields as definitions do."""

from typing import Any
from uuid import uuid4

from libs.common.bus import Bus
from tests.auth.consumers.test_records import noted, tell
from tests.auth.support import Tenant
from tests.support.waiting import eventually


async def test_roles_follow_a_field_to_its_new_name(tenant: Tenant, bus: Bus) -> None:
    """Rules, fields and presets of its grants do, once, with whoever inherits, and rules that come to it from other
    pipelines over relations; the audit log tells who renamed it.
    """
    pipeline, owner = str(uuid4()), tenant.told["user"]["id"]
    rule = {"and": [{"field": "owner.name", "op": "eq", "value": "x"}, {"not": {"field": "size", "value": 1}}]}
    other, third = str(uuid4()), str(uuid4())
    reaching = [
        {"field": "of.owner.owner", "op": "eq", "value": "owner"},
        {"field": "by.of.owner", "op": "eq", "value": "x"},
        {"field": "owner", "op": "eq", "value": "x"},
        {"some": {"field": "by", "filter": {"some": {"field": "of", "filter": {"field": "owner", "value": "x"}}}}},
        {"none": {"field": "else", "filter": {"field": "owner", "value": "x"}}},
    ]
    leading = [
        {"pipeline_id": other, "field": "of", "target": pipeline},
        {"pipeline_id": other, "field": "by", "target": third},
        {"pipeline_id": third, "field": "of", "target": pipeline},
        {"pipeline_id": pipeline, "field": "owner", "target": third},
    ]
    named = {"readable_fields": ["name", "owner"], "writable_fields": ["owner"], "presets": {"owner": None}}
    grants: list[dict[str, Any]] = [
        {"resource": "records", "actions": ["read"], "pipeline_id": pipeline, "row_rule": rule, **named},
        {
            "resource": "records",
            "actions": ["read"],
            "pipeline_id": other,
            "readable_fields": ["owner"],
            "row_rule": {"and": reaching},
        },
    ]
    made = (await tenant.ask("POST", "/roles", json={"name": "Ruled", "grants": grants})).json()
    heir = (await tenant.ask("POST", "/roles", json={"name": "Heir", "inherits": [made["id"]]})).json()
    pending = [
        {"version": 3, "moves": [{"old": "name", "new": "title"}]},
        {"version": 4, "moves": [{"old": "owner", "new": "keeper"}, {"old": "gone", "new": "gone@4"}]},
    ]
    by = {"id": owner, "kind": "user", "name": "Olga Owner"}
    told = {"id": pipeline, "name": "P", "version": 4, "by": by, "pending": pending, "leading": leading}
    await tell(bus, tenant, "pipelines.pipeline.updated", told, times=2)

    async def followed() -> bool:
        found = (await tenant.ask("GET", f"/roles/{made['id']}")).json()
        return bool(found["version"] > made["version"])

    await eventually(followed)
    found = (await tenant.ask("GET", f"/roles/{made['id']}")).json()
    ours, theirs = found["grants"]
    assert ours["row_rule"]["and"][0]["field"] == "keeper.name"
    assert sorted(ours["readable_fields"]) == ["keeper", "name"]
    assert (ours["writable_fields"], ours["presets"]) == (["keeper"], {"keeper": None})
    assert theirs["readable_fields"] == ["owner"]
    assert theirs["row_rule"]["and"] == [
        {"field": "of.keeper.owner", "op": "eq", "value": "owner"},
        {"field": "by.of.keeper", "op": "eq", "value": "x"},
        {"field": "owner", "op": "eq", "value": "x"},
        {"some": {"field": "by", "filter": {"some": {"field": "of", "filter": {"field": "keeper", "value": "x"}}}}},
        {"none": {"field": "else", "filter": {"field": "owner", "value": "x"}}},
    ]
    entries = await noted(tenant, "role.updated")
    assert [(it["actor"]["id"], it["target"]["id"]) for it in entries] == [(owner, made["id"])]
    now = (await tenant.ask("GET", f"/roles/{heir['id']}")).json()
    assert (found["version"], now["version"]) == (made["version"] + 1, heir["version"] + 1)

"""The audit log: what is written, who reads it, and that tampering shows."""

import asyncio
from typing import Any

import asyncpg
import msgspec
import pytest

from libs.common.bus import Bus
from libs.common.events import NewEvent, encode
from libs.common.ids import new_id
from tests.auth.support import PASSWORD, Mailbox, Tenant, faults, problem
from tests.support.waiting import eventually

Admin = asyncpg.Connection
LOG = "/admin/audit-log"


async def entries(tenant: Tenant, query: str = "") -> list[dict[str, Any]]:
    """The log of a tenant, oldest first."""
    answer = await tenant.ask("GET", f"{LOG}?limit=200{query}")
    assert answer.status_code == 200, answer.text
    return list(reversed(answer.json()["items"]))


async def check(bus: Bus, tenant: Tenant, **given: Any) -> dict[str, Any]:
    """What an operator is told of the chain."""
    question = {"tenant": tenant.slug, **given}
    return await bus.request("rpc.auth.admin.check_audit", question, dict[str, Any], seconds=10)


async def test_acts_are_noted_with_who_and_to_whom(tenant: Tenant, mailbox: Mailbox) -> None:
    """From the sign-up on, each with its actor, its target, and what changed from what to what."""
    owner = tenant.told["user"]
    user = await tenant.add("member", "ada@example.com")
    await tenant.ask("PATCH", f"/users/{user['id']}", json={"roles": ["manager"]})
    await tenant.anonymous("/auth/login", {"email": "ada@example.com", "password": "wrong password"})
    role = (await tenant.ask("POST", "/roles", json={"name": "Reader"})).json()
    key = (await tenant.ask("POST", "/api-keys", json={"name": "K", "roles": ["viewer"]})).json()
    await tenant.ask("DELETE", f"/api-keys/{key['id']}")
    await tenant.ask("PATCH", "/organizations/current", json={"name": "Bolt"})
    await tenant.ask("DELETE", f"/users/{user['id']}")
    log = await entries(tenant)
    assert [it["action"] for it in log] == [
        "organization.created", "session.started", "user.created", "user.updated", "session.refused", "role.created",
        "api_key.created", "api_key.ended", "organization.updated", "user.deleted",
    ]  # fmt: skip
    by_action = {it["action"]: it for it in log}
    assert [it["seq"] for it in log] == list(range(1, 11))
    assert by_action["user.created"]["actor"] == {"kind": "user", "id": owner["id"], "name": "Olga Owner"}
    assert by_action["user.updated"]["target"]["id"] == user["id"]
    assert by_action["user.updated"]["details"] == {"roles": [["member"], ["manager"]]}
    assert (by_action["session.refused"]["actor"], by_action["session.refused"]["target"]["id"]) == (None, user["id"])
    assert by_action["role.created"]["target"] == {"kind": "role", "id": role["id"], "name": "Reader"}
    assert by_action["organization.updated"]["details"] == {"name": ["Acme", "Bolt"]}
    assert key["key"] not in str(log)
    assert PASSWORD not in str(log)


async def test_what_was_not_done_is_not_noted(tenant: Tenant) -> None:
    """A refused act leaves no entry of having happened: entry and act commit together."""
    before = len(await entries(tenant))
    assert (await tenant.ask("DELETE", f"/users/{tenant.told['user']['id']}")).status_code == 409
    assert (await tenant.ask("POST", "/roles", json={"name": "Owner", "slug": "owner"})).status_code == 409
    assert len(await entries(tenant)) == before


async def test_entries_are_filtered_and_come_in_pages(tenant: Tenant) -> None:
    """By action or its beginning, by actor, target and time, newest first."""
    users = [await tenant.add("member") for _ in range(3)]
    assert len(await entries(tenant, "&action=user.created")) == 3
    assert {it["action"] for it in await entries(tenant, "&action=session.*")} == {"session.started"}
    (one,) = await entries(tenant, f"&target_id={users[1]['id']}")
    assert one["target"]["id"] == users[1]["id"]
    assert len(await entries(tenant, f"&actor_id={tenant.told['user']['id']}")) == 5
    assert len(await entries(tenant, f"&since={one['at']}")) == 2
    assert await entries(tenant, "&until=2020-01-01T00:00:00Z") == []
    assert await entries(tenant, "&until=0001-01-01T00:00:00%2B14:00") == []
    assert len(await entries(tenant, "&until=9999-12-31T23:59:59-14:00")) == 5
    first = (await tenant.ask("GET", f"{LOG}?limit=3")).json()
    second = (await tenant.ask("GET", f"{LOG}?limit=3&cursor={first['next_cursor']}")).json()
    assert [it["seq"] for it in first["items"] + second["items"]] == [5, 4, 3, 2, 1]
    assert second["next_cursor"] is None
    bad = await tenant.ask("GET", f"{LOG}?since=yesterday")
    assert faults(bad) == {"/since": "invalid_time"}


async def test_the_log_is_exported_as_lines(tenant: Tenant) -> None:
    """The same entries, one JSON object a line."""
    answer = await tenant.ask("GET", f"{LOG}/export?action=session.*")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [msgspec.json.decode(line) for line in answer.text.splitlines()]
    assert lines == await entries(tenant, "&action=session.*")


@pytest.mark.parametrize("role", ["manager", "member", "viewer"])
async def test_reading_it_takes_managing_the_organization(tenant: Tenant, role: str) -> None:
    """Owners and admins do."""
    token = await tenant.token_of(role)
    for path in (LOG, f"{LOG}/export"):
        assert problem(await tenant.ask("GET", path, token)) == (403, "forbidden")
    assert (await tenant.ask("GET", LOG, await tenant.token_of("admin"))).status_code == 200


async def test_another_tenants_log_is_not_there(tenant: Tenant, other: Tenant) -> None:
    """Each has its own, numbered from one."""
    user = await tenant.add("member")
    assert await entries(other, f"&target_id={user['id']}") == []
    assert [it["seq"] for it in await entries(other)] == [1, 2]


async def test_a_sound_chain_is_sound(tenant: Tenant, bus: Bus) -> None:
    """Also when many write at once, and from any entry whose hash is known."""
    await asyncio.gather(*(tenant.add("member") for _ in range(8)))
    told = await check(bus, tenant)
    assert (told["seq"], told["end"], told["broken_at"]) == (10, True, None)
    middle = await check(bus, tenant, until=4)
    assert (middle["seq"], middle["end"]) == (4, False)
    assert await check(bus, tenant, seq=4, hash=middle["hash"]) == told


@pytest.mark.parametrize(
    ("tampering", "at"),
    [
        ("update audit_log set document = replace(document, 'Acme', 'Evil') where seq = 1", 1),
        ("update audit_log set action = 'session.ended' where seq = 2", 2),
        ("update audit_log set at = at - interval '1 day' where seq = 3", 3),
        ("delete from audit_log where seq = 3", 3),
        ("delete from audit_log where seq = 5", 5),
        ("insert into audit_log select tenant_id, 6, at, action, actor_id, target_id, document, hash from audit_log"
         " where seq = 5", 6),
    ],
)  # fmt: skip
async def test_tampering_shows_where_it_was_done(
    tenant: Tenant, bus: Bus, admin: Admin, tampering: str, at: int
) -> None:
    """Changed, taken out, cut off or put in, even by who may write everything in the database."""
    for _ in range(3):
        await tenant.add("member")
    await admin.execute(tampering)
    assert (await check(bus, tenant))["broken_at"] == at


async def test_the_service_itself_cannot_change_an_entry(tenant: Tenant, admin: Admin) -> None:
    """Its role may add and read."""
    rights = await admin.fetch(
        "select privilege_type from information_schema.role_table_grants"
        " where table_name = 'audit_log' and grantee = 'millrace_auth'"
    )
    assert {row[0] for row in rights} == {"INSERT", "SELECT"}


async def test_definitions_of_pipelines_are_noted(tenant: Tenant, bus: Bus, nats_url: str) -> None:
    """What another service announces is in the log once, however often it is delivered."""
    definition = msgspec.Raw(msgspec.json.encode({"id": str(new_id()), "name": "Deals", "version": 3, "fields": []}))
    _, subject, payload = encode(tenant.id, NewEvent("pipelines.pipeline.updated", new_id(), definition))
    for _ in range(2):
        await bus.jetstream.publish(subject, payload.encode())

    async def noted() -> bool:
        return bool(await entries(tenant, "&action=pipeline.*"))

    await eventually(noted)
    await tenant.add("member")
    (entry,) = await entries(tenant, "&action=pipeline.*")
    assert (entry["action"], entry["target"]["name"], entry["details"]["version"]) == ("pipeline.updated", "Deals", 3)

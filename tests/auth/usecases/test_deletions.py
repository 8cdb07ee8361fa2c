"""The end of a tenant, as auth sees it through."""

from typing import Any

from libs.common.bus import Bus, Outgoing
from libs.common.events import NewEvent, encode
from libs.common.purge import Purged
from services.auth.usecases.deletions import OTHERS
from tests.auth.support import PASSWORD, Heard, Mailbox, Tenant, problem
from tests.support.waiting import eventually

PROOF = {"password": PASSWORD}
TENANT_TABLES = """
select relname from pg_class c where relnamespace = 'auth'::regnamespace and relkind = 'r' and relname <> 'outbox'
    and exists (select from pg_attribute where attrelid = c.oid and attname = 'tenant_id' and not attisdropped)
"""


async def ask(bus: Bus, question: str, **body: object) -> dict[str, Any]:
    """An answer to an operator."""
    return await bus.request(f"rpc.auth.admin.{question}", body, dict[str, Any])


async def report(bus: Bus, tenant: Tenant, service: str) -> None:
    """What a service says when it has let go of the tenant."""
    data = Purged(tenant.id, {"things": 3})
    event_id, subject, payload = encode(tenant.id, NewEvent(f"{service}.tenant.purged", tenant.id, data))
    await bus.publish([Outgoing(subject, payload.encode(), str(event_id))])


async def test_a_deletion_takes_the_right_and_a_proof(tenant: Tenant, admin: Any) -> None:
    """An admin may not; an owner has to give a right password or code, or have signed in just now."""
    refused = await tenant.ask("DELETE", "/organizations/current", await tenant.token_of("admin"), json=PROOF)
    assert problem(refused) == (403, "forbidden")
    wrong = await tenant.ask("DELETE", "/organizations/current", json={"password": "not this"})
    assert problem(wrong) == (422, "validation-failed")
    await admin.execute("update sessions set created_at = now() - interval '6 minutes'")
    stale = await tenant.ask("DELETE", "/organizations/current")
    assert problem(stale) == (403, "proof-required")
    assert (await tenant.ask("DELETE", "/organizations/current", json=PROOF)).status_code == 202


async def test_while_it_waits_only_owners_come_in_and_may_restore(
    tenant: Tenant, heard: Heard, mailbox: Mailbox
) -> None:
    """A member is refused at sign-in and refresh; an owner signs in and takes it back; owners are told by mail."""
    member = await tenant.add("member")
    session = await tenant.sign_in(member["email"])
    told = (await tenant.ask("DELETE", "/organizations/current")).json()
    assert (told["status"], told["deletes_at"] is None) == ("deleting", False)
    assert problem(await tenant.ask("DELETE", "/organizations/current")) == (409, "deleting")
    login = {"email": member["email"], "password": PASSWORD}
    assert problem(await tenant.anonymous("/auth/login", login)) == (403, "tenant-inactive")
    refresh = await tenant.anonymous("/auth/refresh", {"refresh_token": session["refresh_token"]})
    assert problem(refresh) == (403, "tenant-inactive")
    owner = await tenant.sign_in(tenant.email)
    back = await tenant.ask("POST", "/organizations/current/restore", owner["access_token"])
    assert (back.json()["status"], back.json()["deletes_at"]) == ("active", None)
    await tenant.sign_in(member["email"])
    again = await tenant.ask("POST", "/organizations/current/restore")
    assert problem(again) == (409, "not-deleting")
    assert [it["status"] for it in await heard.wait(tenant.id, "auth.tenant.updated", 2)] == ["deleting", "active"]
    assert "deleted" in (await mailbox.wait(tenant.email, 2))["Subject"]


async def test_a_tenant_is_gone_when_all_have_reported(
    tenant: Tenant, other: Tenant, bus: Bus, heard: Heard, admin: Any
) -> None:
    """The end is announced when due, auth lets go of its rows after the last report, and the slug is free."""
    await ask(bus, "delete_tenant", tenant=tenant.slug, grace_days=0)
    await heard.wait(tenant.id, "auth.tenant.deleted")
    for service in OTHERS[:-1]:
        await report(bus, tenant, service)

    async def waits_for_one() -> bool:
        return (await ask(bus, "deletion", tenant=tenant.slug))["missing"] == [OTHERS[-1], "auth"]

    await eventually(waits_for_one)
    assert await admin.fetchval("select status from tenants where id = $1", tenant.id) == "purging"
    await report(bus, tenant, OTHERS[-1])

    async def done() -> bool:
        return (await ask(bus, "deletion", tenant=str(tenant.id)))["state"] == "done"

    await eventually(done)
    await heard.wait(tenant.id, "auth.tenant.purged")
    left = {
        name: count
        for (name,) in await admin.fetch(TENANT_TABLES)
        if (count := await admin.fetchval(f"select count(*) from {name} where tenant_id = $1", tenant.id))  # noqa: S608
    }
    assert left == {}
    assert await admin.fetchval("select count(*) from tenants where id = $1", tenant.id) == 0
    reports = (await ask(bus, "deletion", tenant=str(tenant.id)))["reports"]
    assert reports["records"] == {"things": 3}
    assert reports["auth"]["users"] == 1
    await other.sign_in(other.email)
    named = {"name": "Another", "slug": tenant.slug, "domain": f"{tenant.slug}.localhost"}
    assert (await ask(bus, "create_tenant", **named))["slug"] == tenant.slug


async def test_it_is_too_late_once_the_end_was_announced(tenant: Tenant, bus: Bus, heard: Heard) -> None:
    """Nobody restores a tenant whose data some service may have let go of."""
    await ask(bus, "delete_tenant", tenant=tenant.slug, grace_days=0)
    await heard.wait(tenant.id, "auth.tenant.deleted")
    assert problem(await tenant.ask("POST", "/organizations/current/restore")) == (409, "not-deleting")

"""What an organization asks of its people's sign-ins, and what operators may do to an organization."""

from typing import Any

import asyncpg
import httpx
import pytest

from libs.common.bus import Bus
from libs.common.errors import NotFound
from tests.auth.support import PASSWORD, Heard, Mailbox, Tenant, faults, problem

Admin = asyncpg.Connection


async def ask_for(tenant: Tenant, **security: Any) -> httpx.Response:
    """Changes the policy, from the address 198.51.100.7."""
    headers = {"authorization": f"Bearer {tenant.told['access_token']}", "x-forwarded-for": "198.51.100.7"}
    body = {"security": security}
    return await tenant.http.patch("/api/v1/organizations/current", json=body, headers=headers)


async def set_status(bus: Bus, tenant: Tenant, status: str) -> dict[str, Any]:
    """What an operator does."""
    question = {"tenant": tenant.slug, "status": status}
    return await bus.request("rpc.auth.admin.set_tenant_status", question, dict[str, Any], seconds=10)


async def refresh(tenant: Tenant, told: dict[str, Any]) -> httpx.Response:
    """The answer to a refresh."""
    return await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": told["refresh_token"]})


async def test_the_policy_is_told_and_taken_back(tenant: Tenant) -> None:
    """What is not asked for is not told; null takes a bound away."""
    given = {"session_hours": 8, "password_min_length": 16, "ip_allow_list": ["198.51.100.0/24", "2001:db8::/32"]}
    assert (await ask_for(tenant, **given)).json()["security"] == given
    changed = await ask_for(tenant, session_hours=None, password_min_length=None, ip_allow_list=[])
    assert changed.json()["security"] == {}


async def test_faults_of_a_policy_are_named(tenant: Tenant) -> None:
    """Each with its place; nothing of it is taken."""
    bad = await ask_for(
        tenant, session_hours=0, password_min_length=9, ip_allow_list=["198.51.100.7/24", "here", "198.51.100.0/24"]
    )
    assert faults(bad) == {
        "/security/session_hours": "out_of_range",
        "/security/password_min_length": "out_of_range",
        "/security/ip_allow_list/0": "invalid_network",
        "/security/ip_allow_list/1": "invalid_network",
    }
    assert (await tenant.ask("GET", "/organizations/current")).json()["security"] == {}


async def test_nobody_shuts_themselves_out(tenant: Tenant) -> None:
    """A list must allow the address that sets it."""
    assert faults(await ask_for(tenant, ip_allow_list=["203.0.113.0/24"])) == {
        "/security/ip_allow_list": "shuts_you_out"
    }


async def test_the_gateway_learns_the_list(tenant: Tenant, heard: Heard) -> None:
    """By the answer to who a host, slug or id is, which it asks for anew when it hears of the change."""
    await ask_for(tenant, ip_allow_list=["198.51.100.0/24"])
    await heard.wait(tenant.id, "auth.tenant.updated")
    for query in (f"slug={tenant.slug}", f"id={tenant.id}", f"host={tenant.slug}.localhost"):
        told = (await tenant.http.get(f"/internal/tenants/resolve?{query}")).json()
        assert told["addresses"] == ["198.51.100.0/24"]


async def test_sessions_end_when_the_policy_says(tenant: Tenant, admin: Admin) -> None:
    """New ones are made no longer, and those that have lasted longer end at their next refresh."""
    user = await tenant.add("member")
    old = await tenant.sign_in(user["email"])
    await admin.execute("update sessions set created_at = created_at - interval '9 hours'")
    assert (await refresh(tenant, old)).status_code == 200
    old = await tenant.sign_in(user["email"])
    await admin.execute("update sessions set created_at = created_at - interval '9 hours'")
    await ask_for(tenant, session_hours=8)
    assert problem(await refresh(tenant, old)) == (401, "invalid-refresh-token")
    fresh = await tenant.sign_in(user["email"])
    assert (await refresh(tenant, fresh)).status_code == 200
    hours = "select extract(epoch from expires_at - created_at) / 3600 from sessions where revoked_at is null"
    assert 8 in {round(row[0]) for row in await admin.fetch(hours)}


async def test_passwords_are_as_long_as_the_policy_says(tenant: Tenant, mailbox: Mailbox) -> None:
    """Of new users, changed, chosen by invitation, and chosen anew."""
    await ask_for(tenant, password_min_length=20)
    short = "lemur quartz 41"
    person = {"email": "ada@example.com", "name": "Ada", "password": short}
    assert faults(await tenant.ask("POST", "/users", json=person)) == {"/password": "too_short"}
    body = {"current_password": PASSWORD, "new_password": short}
    assert faults(await tenant.ask("POST", "/users/me/password", json=body)) == {"/new_password": "too_short"}
    await tenant.ask("POST", "/invitations", json={"email": "bob@example.com"})
    joining = {"token": await mailbox.token("bob@example.com"), "password": short}
    assert faults(await tenant.anonymous("/auth/invitations/accept", joining)) == {"/password": "too_short"}
    await tenant.anonymous("/auth/password/forgot", {"email": tenant.email})
    choosing = {"token": await mailbox.token(tenant.email, 2), "password": short}
    assert faults(await tenant.anonymous("/auth/password/reset", choosing)) == {"/password": "too_short"}
    assert (await tenant.anonymous("/auth/password/reset", choosing | {"password": PASSWORD})).status_code == 204


async def test_a_suspended_tenant_lets_nobody_in(tenant: Tenant, other: Tenant, bus: Bus, heard: Heard) -> None:
    """By password, refresh or key; and lets them in again when it is active again. Others are not concerned."""
    user = await tenant.add("member")
    told = await tenant.sign_in(user["email"])
    key = (await tenant.ask("POST", "/api-keys", json={"name": "K", "roles": ["viewer"]})).json()["key"]
    assert (await set_status(bus, tenant, "suspended"))["status"] == "suspended"
    (updated,) = await heard.wait(tenant.id, "auth.tenant.updated")
    assert updated["status"] == "suspended"
    body = {"email": user["email"], "password": PASSWORD}
    answers = [
        await tenant.anonymous("/auth/login", body),
        await refresh(tenant, told),
        await tenant.http.post("/internal/api-keys/exchange", json={"key": key}),
    ]
    assert [problem(answer) for answer in answers] == [(403, "tenant-inactive")] * 3
    await other.sign_in(other.email)
    await set_status(bus, tenant, "active")
    assert (await refresh(tenant, told)).status_code == 200


async def test_only_what_is_there_is_suspended(bus: Bus, tenant: Tenant) -> None:
    """A slug of nobody is told; suspending twice is suspending once."""
    question = {"tenant": "nobody", "status": "suspended"}
    with pytest.raises(NotFound):
        await bus.request("rpc.auth.admin.set_tenant_status", question, dict[str, Any])
    for _ in range(2):
        assert (await set_status(bus, tenant, "suspended"))["status"] == "suspended"

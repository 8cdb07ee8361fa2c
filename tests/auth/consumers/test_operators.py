"""What operators and other services ask over NATS."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from libs.common.bus import Bus
from libs.common.errors import Conflict, Invalid, NotFound
from libs.common.permissions import RoleGrants
from tests.auth.support import PASSWORD, Tenant

DEMO = {"name": "Demo Company", "slug": "demo", "domain": "demo.localhost"}


async def ask(bus: Bus, question: str, body: object) -> dict[str, Any]:
    """An answer to an operator."""
    return await bus.request(f"rpc.auth.admin.{question}", body, dict[str, Any])


async def test_an_operator_makes_a_tenant_and_its_owner(tenant: Tenant, bus: Bus) -> None:
    """Who may sign in at once, as an owner."""
    demo = await ask(bus, "create_tenant", DEMO)
    assert (demo["slug"], demo["status"], demo["domains"]) == ("demo", "active", ["demo.localhost"])
    person = {"tenant": "demo", "email": "Olga@demo.example.com", "name": "Olga", "role": "owner"}
    user = await ask(bus, "create_user", person | {"password": PASSWORD})
    assert (user["email"], "password" in user) == ("olga@demo.example.com", False)
    body = {"email": "olga@demo.example.com", "password": PASSWORD}
    answer = await tenant.http.post("/api/v1/auth/login", json=body, headers={"x-millrace-tenant": demo["id"]})
    assert [role["slug"] for role in answer.json()["user"]["roles"]] == ["owner"]


async def test_a_password_is_made_up_where_none_is_given(tenant: Tenant, bus: Bus) -> None:
    """And told, and good."""
    person = {"tenant": tenant.slug, "email": "ada@example.com", "name": "Ada", "role": "viewer"}
    user = await ask(bus, "create_user", person)
    await tenant.sign_in("ada@example.com", user["password"])


async def test_operators_are_told_what_is_wrong(tenant: Tenant, bus: Bus) -> None:
    """Taken slugs and domains, domains of others, unknown tenants and roles."""
    await ask(bus, "create_tenant", DEMO | {"domain": "crm.example.com"})
    with pytest.raises(Conflict, match="slug 'demo' is taken"):
        await ask(bus, "create_tenant", DEMO)
    with pytest.raises(Conflict, match=r"domain 'crm.example.com' is taken"):
        await ask(bus, "create_tenant", DEMO | {"slug": "demo2", "domain": "crm.example.com"})
    with pytest.raises(Invalid) as caught:
        await ask(bus, "create_tenant", DEMO | {"slug": "demo2", "domain": f"{tenant.slug}.localhost"})
    assert [fault.code for fault in caught.value.errors] == ["reserved_domain"]
    person = {"tenant": "nobody", "email": "ada@example.com", "name": "Ada", "role": "king"}
    with pytest.raises(NotFound):
        await ask(bus, "create_user", person)
    with pytest.raises(Invalid):
        await ask(bus, "create_user", person | {"tenant": tenant.slug})


async def test_what_a_conflict_began_is_undone(
    tenant: Tenant, bus: Bus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A tenant whose domain is taken is not half made."""
    await ask(bus, "create_tenant", DEMO | {"domain": "crm.example.com"})
    with pytest.raises(Conflict):
        await ask(bus, "create_tenant", DEMO | {"slug": "demo2", "domain": "crm.example.com"})
    assert await admin.fetchval("select count(*) from tenants where slug = 'demo2'") == 0


async def test_services_ask_for_a_role(tenant: Tenant, other: Tenant, bus: Bus) -> None:
    """What it adds up to, in its tenant only."""
    viewer = await tenant.role("viewer")
    made = await tenant.ask("POST", "/roles", json={"name": "Guest", "inherits": [viewer["id"]]})
    question = {"tenant_id": tenant.id, "role_id": made.json()["id"]}
    role = await bus.request("rpc.auth.role", question, RoleGrants)
    assert (role.slug, role.version, len(role.grants)) == ("guest", 1, 4)
    for wrong in ({"tenant_id": other.id}, {"role_id": uuid4()}):
        with pytest.raises(NotFound):
            await bus.request("rpc.auth.role", question | wrong, RoleGrants)


async def test_services_ask_for_the_keys(tenant: Tenant, bus: Bus) -> None:
    """The same set that is published over HTTP."""
    asked = await bus.request("rpc.auth.jwks", {}, dict[str, Any])
    assert asked == (await tenant.http.get("/.well-known/jwks.json")).json()

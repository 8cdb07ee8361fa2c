"""Roles, what they inherit, and what becomes of those who have them."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.auth.support import Heard, Tenant, faults, problem
from tests.support.waiting import eventually

READ = {"resource": "records", "actions": ["read"]}
EXPORT = {"resource": "records", "actions": ["export"]}


async def make(tenant: Tenant, name: str, token: str | None = None, **rest: Any) -> dict[str, Any]:
    """A new role."""
    answer = await tenant.ask("POST", "/roles", token, json={"name": name, **rest})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_role_is_made_changed_and_deleted(tenant: Tenant, heard: Heard) -> None:
    """Each is announced, with a version that grows."""
    role = await make(tenant, "Sales Lead", grants=[READ])
    assert (role["slug"], role["version"], role["seeded"]) == ("sales-lead", 1, False)
    changed = (await tenant.ask("PATCH", f"/roles/{role['id']}", json={"grants": [READ, EXPORT]})).json()
    assert (changed["version"], len(changed["grants"])) == (2, 2)
    assert (await tenant.ask("GET", f"/roles/{role['id']}")).json() == changed
    assert (await tenant.ask("DELETE", f"/roles/{role['id']}")).status_code == 204
    assert (await tenant.ask("GET", f"/roles/{role['id']}")).status_code == 404
    (deleted,) = await heard.wait(tenant.id, "auth.role.deleted")
    assert (deleted["version"], deleted["deleted"], deleted["grants"]) == (3, True, [])


async def test_names_of_one_tenant_differ(tenant: Tenant, other: Tenant) -> None:
    """A second role of the same slug is a conflict; another tenant has its own."""
    await make(tenant, "Sales")
    assert problem(await tenant.ask("POST", "/roles", json={"name": "sales"})) == (409, "role-exists")
    await make(other, "Sales")


async def test_faults_of_grants_are_told_with_their_place(tenant: Tenant) -> None:
    """Resource, actions, pipeline, fields and rules are checked."""
    grants = [
        {"resource": "castles", "actions": ["read"]},
        {"resource": "records", "actions": []},
        {"resource": "users", "actions": ["read"], "pipeline_id": str(uuid4()), "readable_fields": ["name"]},
        {"resource": "records", "actions": ["read"], "presets": {"a": "x" * 9000}},
    ]
    answer = await tenant.ask("POST", "/roles", json={"name": "R", "grants": grants, "inherits": [str(uuid4())]})
    assert faults(answer) == {
        "/grants/0/resource": "unknown_resource",
        "/grants/1/actions": "required",
        "/grants/2/pipeline_id": "not_of_a_pipeline",
        "/grants/2/readable_fields": "not_of_rows",
        "/grants/3/presets": "too_large",
        "/inherits/0": "unknown_role",
    }
    odd = await tenant.ask("POST", "/roles", json={"name": "R", "grants": [READ | {"actions": ["fly"]}]})
    assert list(faults(odd)) == ["/grants/0/actions/0"]
    often = await tenant.ask("POST", "/roles", json={"name": "R", "grants": [READ | {"actions": ["read"] * 1000}]})
    assert list(faults(often)) == ["/grants/0/actions"]


async def test_what_is_inherited_is_granted(tenant: Tenant, heard: Heard) -> None:
    """A change of a role is a change of all that inherit from it, and each is announced with a new version."""
    base = await make(tenant, "Base", grants=[READ])
    middle = await make(tenant, "Middle", inherits=[base["id"]])
    top = await make(tenant, "Top", inherits=[middle["id"]], grants=[EXPORT])
    (_, _, announced) = (await heard.wait(tenant.id, "auth.role.created", 8))[5:]
    assert announced["grants"] == [EXPORT, READ]
    wider = READ | {"actions": ["read", "update"]}
    await tenant.ask("PATCH", f"/roles/{base['id']}", json={"grants": [wider]})
    updated = {it["id"]: it for it in await heard.wait(tenant.id, "auth.role.updated", 3)}
    assert {role_id: it["version"] for role_id, it in updated.items()} == {
        role["id"]: 2 for role in (base, middle, top)
    }
    assert updated[top["id"]]["grants"] == [EXPORT, wider]


async def test_a_changed_role_is_what_its_members_may_do(tenant: Tenant) -> None:
    """The grants of a token's roles are those of now, without a new token."""
    role = await make(tenant, "Clerk")
    user = await tenant.add("clerk")
    token = (await tenant.sign_in(user["email"]))["access_token"]
    assert (await tenant.ask("GET", "/users", token)).status_code == 403
    grants = [{"resource": "users", "actions": ["read"]}]
    await tenant.ask("PATCH", f"/roles/{role['id']}", json={"grants": grants})

    async def allowed() -> bool:
        return (await tenant.ask("GET", "/users", token)).status_code == 200

    await eventually(allowed)


async def test_no_role_inherits_from_itself(tenant: Tenant) -> None:
    """Neither directly nor by way of others."""
    base = await make(tenant, "Base")
    middle = await make(tenant, "Middle", inherits=[base["id"]])
    top = await make(tenant, "Top", inherits=[middle["id"]])
    for parent in (base, middle, top):
        answer = await tenant.ask("PATCH", f"/roles/{base['id']}", json={"inherits": [parent["id"]]})
        assert faults(answer) == {"/inherits/0": "cycle"}


async def test_two_changes_that_would_close_a_circle_do_not_both_happen(tenant: Tenant) -> None:
    """Of two changes at the same time one sees the other."""
    one, two = await make(tenant, "One"), await make(tenant, "Two")
    answers = await asyncio.gather(
        tenant.ask("PATCH", f"/roles/{one['id']}", json={"inherits": [two["id"]]}),
        tenant.ask("PATCH", f"/roles/{two['id']}", json={"inherits": [one["id"]]}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 422]


@pytest.mark.parametrize(
    "beyond",
    [
        {"grants": [{"resource": "*", "actions": ["read"]}]},
        {"grants": [{"resource": "organization", "actions": ["delete"]}]},
        {"inherits": ["owner"]},
    ],
)
async def test_nobody_grants_what_they_do_not_have(tenant: Tenant, beyond: dict[str, Any]) -> None:
    """An admin makes no role, and changes none into one, that may do more than an admin."""
    owner = await tenant.role("owner")
    body = {"inherits": [owner["id"]]} if "inherits" in beyond else beyond
    token = await tenant.token_of("admin")
    made = await tenant.ask("POST", "/roles", token, json={"name": "King", **body})
    assert problem(made) == (403, "beyond-own-grants")
    role = await make(tenant, "Knight", token, grants=[READ])
    changed = await tenant.ask("PATCH", f"/roles/{role['id']}", token, json=body)
    assert problem(changed) == (403, "beyond-own-grants")


async def test_a_rule_that_binds_the_giver_binds_the_gift(tenant: Tenant) -> None:
    """Who may act on some rows and fields only gives no more than that."""
    bound = READ | {"row_rule": {"field": "owner", "op": "eq", "value": "$user"}, "readable_fields": ["name", "city"]}
    manage = {"resource": "roles", "actions": ["*"]}
    await make(tenant, "Clerk", grants=[bound, manage])
    user = await tenant.add("clerk")
    token = (await tenant.sign_in(user["email"]))["access_token"]
    await make(tenant, "Less", token, grants=[bound | {"readable_fields": ["name"]}])
    for more in (READ, bound | {"readable_fields": ["name", "salary"]}, bound | {"row_rule": {}}):
        answer = await tenant.ask("POST", "/roles", token, json={"name": "More", "grants": [more]})
        assert problem(answer) == (403, "beyond-own-grants")


async def test_the_first_roles_stay(tenant: Tenant) -> None:
    """None of the five can be deleted, and what an owner may do cannot be changed."""
    roles = (await tenant.ask("GET", "/roles")).json()["items"]
    assert len(roles) == 5
    for role in roles:
        assert problem(await tenant.ask("DELETE", f"/roles/{role['id']}")) == (409, "seeded-role")
    owner = next(role for role in roles if role["slug"] == "owner")
    answer = await tenant.ask("PATCH", f"/roles/{owner['id']}", json={"grants": []})
    assert problem(answer) == (409, "owner-role")


async def test_a_role_in_use_stays(tenant: Tenant) -> None:
    """While someone has it or something inherits from it."""
    base = await make(tenant, "Base")
    heir = await make(tenant, "Heir", inherits=[base["id"]])
    assert problem(await tenant.ask("DELETE", f"/roles/{base['id']}")) == (409, "role-in-use")
    await tenant.add("heir")
    assert problem(await tenant.ask("DELETE", f"/roles/{heir['id']}")) == (409, "role-in-use")


async def test_a_role_of_another_tenant_does_not_exist(tenant: Tenant, other: Tenant) -> None:
    """Not to be read, changed, deleted or inherited from."""
    role = await make(tenant, "Sales")
    path = f"/roles/{role['id']}"
    answers = [
        await other.ask("GET", path),
        await other.ask("PATCH", path, json={"name": "Mine"}),
        await other.ask("DELETE", path),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    answer = await other.ask("POST", "/roles", json={"name": "Thief", "inherits": [role["id"]]})
    assert faults(answer) == {"/inherits/0": "unknown_role"}


async def test_reading_roles_takes_a_grant(tenant: Tenant) -> None:
    """A member does not see them."""
    token = await tenant.token_of("member")
    assert problem(await tenant.ask("GET", "/roles", token)) == (403, "forbidden")
    body = {"name": "R", "grants": []}
    assert problem(await tenant.ask("POST", "/roles", token, json=body)) == (403, "forbidden")

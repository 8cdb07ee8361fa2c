"""The people of an organization."""

import asyncio
from uuid import uuid4

import jwt
import pytest

from tests.auth.support import PASSWORD, Heard, Tenant, faults, problem


async def test_a_new_user_may_sign_in_at_once(tenant: Tenant, heard: Heard) -> None:
    """With a password and no roles named one is an active member."""
    person = {"email": "Ada@Example.com", "name": "Ada", "password": PASSWORD}
    answer = await tenant.ask("POST", "/users", json=person)
    assert answer.status_code == 201
    ada = answer.json()
    assert (ada["email"], ada["status"], [role["slug"] for role in ada["roles"]]) == (
        "ada@example.com",
        "active",
        ["member"],
    )
    assert (await tenant.sign_in("ada@example.com"))["user"] == ada
    told = (await heard.wait(tenant.id, "auth.user.created", 2))[1]
    assert told == {
        "id": ada["id"],
        "email": "ada@example.com",
        "name": "Ada",
        "status": "active",
        "roles": [role["id"] for role in ada["roles"]],
    }


async def test_an_address_belongs_to_one_user_of_a_tenant(tenant: Tenant, other: Tenant) -> None:
    """However it is written; another tenant has users of its own."""
    await tenant.add("member", "ada@example.com")
    again = {"email": "ADA@example.com", "name": "Ada", "password": PASSWORD}
    assert problem(await tenant.ask("POST", "/users", json=again)) == (409, "email-taken")
    bob = await tenant.add("member")
    taken = await tenant.ask("PATCH", f"/users/{bob['id']}", json={"email": "ada@example.com"})
    assert problem(taken) == (409, "email-taken")
    await other.add("member", "ada@example.com")


async def test_roles_are_named_by_id_or_slug(tenant: Tenant) -> None:
    """Unknown ones are faults with their place."""
    viewer = await tenant.role("viewer")
    person = {"email": "v@example.com", "name": "V", "password": PASSWORD}
    made = (await tenant.ask("POST", "/users", json=person | {"roles": [viewer["id"], "member"]})).json()
    assert {role["slug"] for role in made["roles"]} == {"viewer", "member"}
    answer = await tenant.ask("POST", "/users", json=person | {"roles": ["member", "king", str(uuid4())]})
    assert faults(answer) == {"/roles/1": "unknown_role", "/roles/2": "unknown_role"}


async def test_users_come_in_pages_with_a_count_on_demand(tenant: Tenant) -> None:
    """Keyset pages in the order of creation."""
    added = [(await tenant.add("member"))["id"] for _ in range(3)]
    first = (await tenant.ask("GET", "/users?limit=2&count=exact")).json()
    second = (await tenant.ask("GET", f"/users?limit=2&cursor={first['next_cursor']}")).json()
    assert [user["id"] for user in first["items"] + second["items"]] == [tenant.told["user"]["id"], *added]
    assert (first["count"], second["next_cursor"], "count" in second) == (4, None, False)
    for query in ("limit=201", "limit=x", "cursor=%21", "count=some"):
        assert (await tenant.ask("GET", f"/users?{query}")).status_code == 422, query


async def test_the_same_users_are_under_admin(tenant: Tenant) -> None:
    """`/admin/users` answers as `/users` does."""
    user = await tenant.add("member")
    assert (await tenant.ask("GET", f"/admin/users/{user['id']}")).json() == user
    answer = await tenant.ask("POST", f"/admin/users/{user['id']}/deactivate")
    assert answer.json()["status"] == "deactivated"


async def test_people_change_their_own_name_and_language(tenant: Tenant) -> None:
    """And nothing else of themselves."""
    viewer = await tenant.token_of("viewer")
    changed = await tenant.ask("PATCH", "/users/me", viewer, json={"name": "Vera", "locale": "de-AT"})
    assert (changed.json()["name"], changed.json()["locale"]) == ("Vera", "de-AT")
    assert (await tenant.ask("GET", "/users/me", viewer)).json() == changed.json()
    assert faults(await tenant.ask("PATCH", "/users/me", viewer, json={"roles": []})) == {"/roles": "unknown_field"}
    assert faults(await tenant.ask("PATCH", "/users/me", viewer, json={"name": None})) == {"/name": "wrong_type"}


async def test_permissions_of_mine_are_the_grants_of_my_roles(tenant: Tenant) -> None:
    """A viewer reads, and that is all."""
    viewer = await tenant.token_of("viewer")
    told = (await tenant.ask("GET", "/users/me/permissions", viewer)).json()
    assert [role["slug"] for role in told["roles"]] == ["viewer"]
    assert {grant["resource"] for grant in told["grants"]} == {"records", "pipelines", "relationship_types", "users"}
    assert {action for grant in told["grants"] for action in grant["actions"]} == {"read"}


@pytest.mark.parametrize("role", ["manager", "member", "viewer"])
async def test_managing_people_takes_a_grant(tenant: Tenant, role: str) -> None:
    """Manager, member and viewer see the people and cannot change them."""
    token = await tenant.token_of(role)
    owner = tenant.told["user"]["id"]
    assert (await tenant.ask("GET", "/users", token)).status_code == 200
    person = {"email": "x@example.com", "name": "X", "password": PASSWORD}
    assert problem(await tenant.ask("POST", "/users", token, json=person)) == (403, "forbidden")
    for method, path in (("PATCH", owner), ("DELETE", owner), ("POST", f"{owner}/deactivate")):
        answer = await tenant.ask(method, f"/users/{path}", token, json={} if method == "PATCH" else None)
        assert problem(answer) == (403, "forbidden")


async def test_nobody_gives_or_takes_roles_beyond_their_own(tenant: Tenant) -> None:
    """An admin makes no owner, becomes none, and cannot change, deactivate or delete one."""
    admin = await tenant.add("admin")
    token = (await tenant.sign_in(admin["email"]))["access_token"]
    owner = tenant.told["user"]["id"]
    person = {"email": "x@example.com", "name": "X", "password": PASSWORD, "roles": ["owner"]}
    refused = [
        await tenant.ask("POST", "/users", token, json=person),
        await tenant.ask("PATCH", f"/users/{admin['id']}", token, json={"roles": ["owner"]}),
        await tenant.ask("PATCH", f"/users/{owner}", token, json={"email": "mine@example.com"}),
        await tenant.ask("PATCH", f"/users/{owner}", token, json={"roles": ["viewer"]}),
        await tenant.ask("POST", f"/users/{owner}/deactivate", token),
        await tenant.ask("DELETE", f"/users/{owner}", token),
    ]
    assert [problem(answer) for answer in refused] == [(403, "beyond-own-grants")] * 6
    assert (await tenant.ask("POST", "/users", token, json=person | {"roles": ["admin"]})).status_code == 201


async def test_the_last_owner_stays(tenant: Tenant) -> None:
    """Not deactivated, not deleted, not made less, until there is another active owner."""
    owner = f"/users/{tenant.told['user']['id']}"
    attempts = [("POST", f"{owner}/deactivate", None), ("PATCH", owner, {"roles": ["admin"]}), ("DELETE", owner, None)]
    for method, path, body in attempts:
        answer = await tenant.ask(method, path, json=body)
        assert problem(answer) == (409, "last-owner"), method
    second = await tenant.add("owner")
    await tenant.ask("POST", f"/users/{second['id']}/deactivate")
    assert problem(await tenant.ask("DELETE", owner)) == (409, "last-owner")
    await tenant.ask("POST", f"/users/{second['id']}/activate")
    assert (await tenant.ask("DELETE", owner)).status_code == 204


async def test_two_owners_who_leave_at_once_do_not_both_leave(tenant: Tenant) -> None:
    """Of two deletions at the same time one is refused."""
    second = await tenant.add("owner")
    token = (await tenant.sign_in(second["email"]))["access_token"]
    answers = await asyncio.gather(
        tenant.ask("DELETE", f"/users/{tenant.told['user']['id']}"),
        tenant.ask("DELETE", f"/users/{second['id']}", token),
    )
    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_a_deactivated_user_is_out(tenant: Tenant, heard: Heard) -> None:
    """No login, no refresh, every token revoked; activated again, a login is good."""
    user = await tenant.add("member")
    told = await tenant.sign_in(user["email"])
    assert (await tenant.ask("POST", f"/users/{user['id']}/deactivate")).json()["status"] == "deactivated"
    login = await tenant.anonymous("/auth/login", {"email": user["email"], "password": PASSWORD})
    assert problem(login) == (401, "invalid-credentials")
    answer = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": told["refresh_token"]})
    assert problem(answer) == (401, "invalid-refresh-token")
    (revoked,) = await heard.wait(tenant.id, "auth.session.revoked")
    assert (revoked["session_id"], revoked["user_id"]) == (None, user["id"])
    assert revoked["not_before"] > _claims(told["access_token"])["iat"]
    (updated,) = await heard.wait(tenant.id, "auth.user.updated")
    assert updated["status"] == "deactivated"
    await tenant.ask("POST", f"/users/{user['id']}/activate")
    await tenant.sign_in(user["email"])


async def test_a_change_of_roles_reaches_the_next_token(tenant: Tenant, heard: Heard) -> None:
    """Tokens issued before it are revoked, the session goes on, and a refresh names the new roles."""
    user = await tenant.add("viewer")
    told = await tenant.sign_in(user["email"])
    changed = (await tenant.ask("PATCH", f"/users/{user['id']}", json={"roles": ["manager"]})).json()
    (revoked,) = await heard.wait(tenant.id, "auth.session.revoked")
    answer = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": told["refresh_token"]})
    before, after = _claims(told["access_token"]), _claims(answer.json()["access_token"])
    assert before["iat"] < revoked["not_before"] <= after["iat"]
    assert after["roles"] == [role["id"] for role in changed["roles"]]
    assert after["sid"] == before["sid"]


async def test_a_deleted_user_is_gone(tenant: Tenant, heard: Heard) -> None:
    """Not found, not able to sign in, and announced."""
    user = await tenant.add("member")
    assert (await tenant.ask("DELETE", f"/users/{user['id']}")).status_code == 204
    assert (await tenant.ask("GET", f"/users/{user['id']}")).status_code == 404
    login = await tenant.anonymous("/auth/login", {"email": user["email"], "password": PASSWORD})
    assert problem(login) == (401, "invalid-credentials")
    assert [it["id"] for it in await heard.wait(tenant.id, "auth.user.deleted")] == [user["id"]]


async def test_a_user_of_another_tenant_does_not_exist(tenant: Tenant, other: Tenant) -> None:
    """Each route answers 404 to another tenant's id, and to what is no id."""
    for user in ((await tenant.add("member"))["id"], "nonsense"):
        path = f"/users/{user}"
        answers = [
            await other.ask("GET", path),
            await other.ask("PATCH", path, json={"name": "Mine"}),
            await other.ask("POST", f"{path}/deactivate"),
            await other.ask("POST", f"{path}/activate"),
            await other.ask("DELETE", path),
        ]
        assert [answer.status_code for answer in answers] == [404] * 5
    stolen = await tenant.role("viewer")
    person = {"email": "x@example.com", "name": "X", "password": PASSWORD, "roles": [stolen["id"]]}
    assert faults(await other.ask("POST", "/users", json=person)) == {"/roles/0": "unknown_role"}


def _claims(token: str) -> dict[str, object]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


async def test_the_list_is_in_any_order_with_any_fields(tenant: Tenant) -> None:
    """Keyset pages of an order are the whole list once; cursors of another order, and unknown fields, are refused."""
    for name in ("b", "a", "c", "a"):
        person = {"email": f"{uuid4().hex}@example.com", "name": name, "password": PASSWORD, "roles": ["viewer"]}
        assert (await tenant.ask("POST", "/users", json=person)).status_code == 201
    everyone = (await tenant.ask("GET", "/users")).json()["items"]
    for sort in ("name", "-name", "-name,created_at", "status,-name,email", "-id", "-created_at", "locale,id"):
        keys = [*sort.split(","), "-id" if sort.split(",")[-1].startswith("-") else "id"]
        expected = list(everyone)
        for key in reversed(keys):
            expected.sort(key=lambda it: it[key.removeprefix("-")], reverse=key.startswith("-"))
        found, cursor = [], None
        while True:
            params = {"sort": sort, "limit": 2, "fields": "name"} | ({"cursor": cursor} if cursor else {})
            page = (await tenant.ask("GET", "/users", params=params)).json()
            assert all(it.keys() == {"id", "name"} for it in page["items"])
            found += page["items"]
            if (cursor := page["next_cursor"]) is None:
                break
        assert [it["id"] for it in found] == [it["id"] for it in expected], sort
    cursor = (await tenant.ask("GET", "/users", params={"sort": "name", "limit": 1})).json()["next_cursor"]
    for params, fault in (
        ({"sort": "-name", "cursor": cursor}, {"/cursor": "invalid_cursor"}),
        ({"cursor": "nothing"}, {"/cursor": "invalid_cursor"}),
        ({"sort": "password_hash"}, {"/sort": "unknown_field"}),
        ({"sort": "name;drop"}, {"/sort": "unknown_field"}),
        ({"sort": "name,-name"}, {"/sort": "duplicate_field"}),
        ({"fields": "password_hash"}, {"/fields": "unknown_field"}),
    ):
        assert faults(await tenant.ask("GET", "/users", params=params)) == fault


async def test_roles_are_in_any_order_with_any_fields(tenant: Tenant) -> None:
    """Pages of any order are the whole list once, and tell how many there are where that is asked for."""
    found, cursor = [], None
    while True:
        params = {"sort": "-slug", "limit": 2, "count": "exact"} | ({"cursor": cursor} if cursor else {})
        page = (await tenant.ask("GET", "/roles", params=params)).json()
        assert (len(page["items"]) <= 2, page["count"]) == (True, 5)
        found += [it["slug"] for it in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == ["viewer", "owner", "member", "manager", "admin"]
    by_time = (await tenant.ask("GET", "/roles", params={"sort": "created_at", "limit": 4})).json()["next_cursor"]
    last = (await tenant.ask("GET", "/roles", params={"sort": "created_at", "cursor": by_time})).json()
    assert (len(last["items"]), last["next_cursor"]) == (1, None)
    assert faults(await tenant.ask("GET", "/roles", params={"limit": 201})) == {"/limit": "out_of_range"}
    items = (await tenant.ask("GET", "/roles", params={"sort": "-slug", "fields": "slug"})).json()["items"]
    assert [it["slug"] for it in items] == ["viewer", "owner", "member", "manager", "admin"]
    assert all(it.keys() == {"id", "slug"} for it in items)
    assert faults(await tenant.ask("GET", "/roles", params={"sort": "grants"})) == {"/sort": "unknown_field"}

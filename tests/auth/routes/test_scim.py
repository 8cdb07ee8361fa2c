"""Provisioning by SCIM 2.0, with the requests of RFC 7644 where it gives one."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.auth.support import PASSWORD, Heard, Mailbox, Tenant, problem

Admin = asyncpg.Connection
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BASE = "http://test/api/v1/scim/v2"


def error(response: httpx.Response) -> tuple[int, str | None]:
    """Status and `scimType` of an error in SCIM's form."""
    assert response.headers["content-type"].startswith("application/scim+json"), response.text
    told = response.json()
    assert told["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert told["status"] == str(response.status_code)
    return response.status_code, told.get("scimType")


def operations(*given: dict[str, Any]) -> dict[str, Any]:
    """A patch."""
    return {"schemas": [PATCH], "Operations": list(given)}


async def provision(it: Tenant, email: str, **more: Any) -> dict[str, Any]:
    """A new user."""
    answer = await it.ask("POST", "/scim/v2/Users", json={"schemas": [USER], "userName": email, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def find(it: Tenant, kind: str, **query: Any) -> dict[str, Any]:
    """A list."""
    answer = await it.ask("GET", f"/scim/v2/{kind}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def names(it: Tenant, filter_: str) -> list[str]:
    """The user names that fit a filter."""
    return [user["userName"] for user in (await find(it, "Users", filter=filter_)).get("Resources", [])]


async def test_a_user_is_created_as_in_the_rfc(tenant: Tenant, mailbox: Mailbox) -> None:
    """§3.3: 201 with the location, the version and what is kept; who is invited gets a mail."""
    body = {
        "schemas": [USER], "userName": "BJensen@example.com", "externalId": "bjensen",
        "name": {"formatted": "Ms. Barbara J Jensen III", "familyName": "Jensen", "givenName": "Barbara"},
        "emails": [{"value": "other@example.com", "primary": True}], "nickName": "Babs",
    }  # fmt: skip
    answer = await tenant.ask("POST", "/scim/v2/Users", json=body)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert answer.headers["location"] == told["meta"]["location"] == f"{BASE}/Users/{told['id']}"
    assert answer.headers["etag"] == told["meta"]["version"]
    assert (told["userName"], told["externalId"], told["active"]) == ("bjensen@example.com", "bjensen", True)
    assert told["displayName"] == "Ms. Barbara J Jensen III"
    assert told["emails"] == [{"value": "bjensen@example.com", "type": "work", "primary": True}]
    assert [group["display"] for group in told["groups"]] == ["Member"]
    assert "nickName" not in told
    shown = (await tenant.ask("GET", f"/users/{told['id']}")).json()
    assert (shown["status"], shown["email"]) == ("invited", "bjensen@example.com")
    await mailbox.wait("bjensen@example.com")


async def test_bad_users_are_refused_in_its_form(tenant: Tenant) -> None:
    """With the words of §3.12; what is no JSON as well."""
    await provision(tenant, "ann@example.com")
    users = "/scim/v2/Users"
    cases: list[tuple[dict[str, Any], tuple[int, str | None]]] = [
        ({"json": {"schemas": [USER], "userName": "Ann@example.com"}}, (409, "uniqueness")),
        ({"json": {"schemas": [USER]}}, (400, "invalidValue")),
        ({"json": {"schemas": [USER], "userName": "no address"}}, (400, "invalidValue")),
        ({"json": {"schemas": [USER], "userName": 7}}, (400, "invalidValue")),
        ({"json": {"schemas": [USER], "userName": "x@example.com", "locale": "??"}}, (400, "invalidValue")),
        ({"json": {"schemas": [USER], "userName": "x@example.com", "externalId": "x" * 256}}, (400, "invalidValue")),
        ({"json": []}, (400, "invalidValue")),
        ({"content": b"{"}, (400, "invalidSyntax")),
        ({"content": b"[" * 100_000}, (400, "invalidSyntax")),
        ({"json": {"userName": "x\u0000@example.com"}}, (400, "invalidSyntax")),
    ]
    for given, expected in cases:
        assert error(await tenant.ask("POST", users, **given)) == expected, given
    assert error(await tenant.ask("GET", f"{users}/nothing")) == (404, None)
    assert error(await tenant.ask("GET", f"{users}?filter=userName%20zz")) == (400, "invalidFilter")
    assert error(await tenant.ask("GET", f"{users}?filter=shoe%20eq%20%22x%22")) == (400, "invalidFilter")
    nested = "(" * 490 + 'userName eq "x"' + ")" * 490
    assert (await tenant.ask("GET", users, params={"filter": nested})).status_code in (200, 400)
    assert error(await tenant.ask("GET", users, params={"filter": "x" * 1001})) == (400, "invalidFilter")


async def test_users_are_found_by_filters(tenant: Tenant, other: Tenant) -> None:
    """§3.4.2.2: those that an index answers and those that look at everyone; never another tenant's."""
    await provision(tenant, "bjensen@example.com", displayName="Barbara Jensen", externalId="701984")
    await provision(tenant, "jsmith@example.com", displayName="Jim Smith", active=False)
    await provision(other, "bjensen@example.com", externalId="701984")
    for filter_ in (
        'userName eq "BJENSEN@example.com"', 'externalId eq "701984"', 'emails.value eq "bjensen@example.com"',
        'emails[type eq "work" and value co "bjensen"]', 'displayName co "JENSEN"',
        f'{USER}:userName sw "bj"', 'userName sw "bj" and active eq true',
        'meta.resourceType eq "User" and (displayName ew "Jensen" or displayName ew "None")',
        'externalId pr', 'not (userName sw "j") and externalId pr',
    ):  # fmt: skip
        assert await names(tenant, filter_) == ["bjensen@example.com"], filter_
    assert await names(tenant, "active eq false") == ["jsmith@example.com"]
    assert await names(tenant, 'id eq "nothing"') == []
    assert await names(tenant, 'userName eq "nobody@example.com"') == []


async def test_pages_and_orders(tenant: Tenant) -> None:
    """§3.4.2.3 and §3.4.2.4: `totalResults` counts all, `startIndex` begins at one, `count` bounds."""
    for name in ("c", "a", "b"):
        await provision(tenant, f"{name}@example.com")
    first = await find(tenant, "Users", startIndex=1, count=2)
    assert (first["totalResults"], first["startIndex"], first["itemsPerPage"]) == (4, 1, 2)
    last = await find(tenant, "Users", startIndex=3, count=2)
    ids = [user["id"] for page in (first, last) for user in page["Resources"]]
    assert len(set(ids)) == 4
    by_name = await find(
        tenant, "Users", sortBy="userName", sortOrder="descending", filter='userName ew "@example.com"'
    )
    assert [user["userName"][0] for user in by_name["Resources"]] == ["c", "b", "a"]
    assert (await find(tenant, "Users", count=0))["totalResults"] == 4
    few = await find(tenant, "Users", attributes="userName", count=1)
    assert set(few["Resources"][0]) == {"schemas", "id", "userName"}


async def test_a_user_is_patched(tenant: Tenant) -> None:
    """§3.5.2, also in the dialect of large directories: capitals, and truth in words."""
    user = await provision(tenant, "ann@example.com", displayName="Ann")
    path = f"/scim/v2/Users/{user['id']}"
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"op": "replace", "path": "displayName", "value": "Ann Other"}, {"displayName": "Ann Other"}),
        ({"op": "add", "value": {"externalId": "7", "nickName": "x"}}, {"externalId": "7"}),
        ({"op": "Replace", "path": "active", "value": "False"}, {"active": False}),
        ({"op": "replace", "value": {"active": True}}, {"active": True}),
        ({"op": "replace", "path": "name.formatted", "value": "Ann Third"}, {"displayName": "Ann Third"}),
        ({"op": "replace", "path": "userName", "value": "Anna@example.com"}, {"userName": "anna@example.com"}),
        ({"op": "replace", "path": 'emails[type eq "work"].value', "value": "x@example.com"}, {}),
        ({"op": "remove", "path": "externalId"}, {"externalId": None}),
    ]
    for operation, expected in cases:
        answer = await tenant.ask("PATCH", path, json=operations(operation))
        assert answer.status_code == 200, (operation, answer.text)
        assert {name: answer.json().get(name) for name in expected} == expected, operation
    for bad in ({"op": "replace", "path": "id", "value": 7, "x": 1}, {"op": "zap"}, {"op": "remove"}):
        assert (await tenant.ask("PATCH", path, json=operations(bad))).status_code in (200, 400)
    assert error(await tenant.ask("PATCH", path, json=operations({"op": "remove", "path": "userName"})))[0] == 400
    too_many = operations(*[{"op": "replace", "path": "displayName", "value": "x"}] * 101)
    assert error(await tenant.ask("PATCH", path, json=too_many)) == (400, "invalidSyntax")
    for given in (7, 1e308, True, "replace", {"op": "replace"}):
        body = {"schemas": [PATCH], "Operations": given}
        assert error(await tenant.ask("PATCH", path, json=body))[0] == 400, given
    for more in ({"schemas": [1] * 70_000}, {"emails": [{}] * 70_000}, {f"x{i}": 1 for i in range(70_000)}):
        assert error(await tenant.ask("PUT", path, json={"userName": "a", **more})) == (400, "invalidSyntax")
    assert (await tenant.ask("GET", path)).json()["emails"][0]["value"] == "anna@example.com"


async def test_a_user_is_replaced(tenant: Tenant) -> None:
    """§3.5.1: what is left out of names and activity stays as the account has it."""
    user = await provision(tenant, "ann@example.com", displayName="Ann", externalId="7")
    path = f"/scim/v2/Users/{user['id']}"
    body = {"schemas": [USER], "id": user["id"], "userName": "ann@example.com",
            "name": {"givenName": "Ann", "familyName": "New"}}  # fmt: skip
    told = (await tenant.ask("PUT", path, json=body)).json()
    assert (told["displayName"], told["active"], told.get("externalId")) == ("Ann New", True, None)


async def test_who_is_deactivated_is_signed_out(tenant: Tenant, heard: Heard) -> None:
    """Their sessions end at once, and they come in no more until they are active again."""
    person = await tenant.add("member")
    told = await tenant.sign_in(person["email"])
    path = f"/scim/v2/Users/{person['id']}"
    body = operations({"op": "replace", "path": "active", "value": False})
    assert (await tenant.ask("PATCH", path, json=body)).json()["active"] is False
    revoked = await heard.wait(tenant.id, "auth.session.revoked")
    assert revoked[-1]["user_id"] == person["id"]
    refreshed = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": told["refresh_token"]})
    assert refreshed.status_code == 401
    login = {"email": person["email"], "password": PASSWORD}
    assert problem(await tenant.anonymous("/auth/login", login)) == (401, "invalid-credentials")
    body = operations({"op": "replace", "path": "active", "value": True})
    await tenant.ask("PATCH", path, json=body)
    assert (await tenant.anonymous("/auth/login", login)).status_code == 200
    assert (await tenant.ask("DELETE", path)).status_code == 204
    assert error(await tenant.ask("GET", path)) == (404, None)


async def test_versions_guard_against_lost_updates(tenant: Tenant) -> None:
    """§3.14: `If-Match` of an older version is refused, of parallel writers one wins, `If-None-Match` saves a body."""
    user = await provision(tenant, "ann@example.com")
    path, version = f"/api/v1/scim/v2/Users/{user['id']}", user["meta"]["version"]
    headers = {"authorization": f"Bearer {tenant.told['access_token']}", "if-match": version}

    async def write(name: str) -> httpx.Response:
        body = operations({"op": "replace", "path": "displayName", "value": name})
        return await tenant.http.patch(path, json=body, headers=headers)

    answers = await asyncio.gather(*(write(f"Name {number}") for number in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    assert error(await write("Late"))[0] == 412
    assert error(await tenant.http.delete(path, headers=headers))[0] == 412
    now = (await tenant.ask("GET", f"/scim/v2/Users/{user['id']}")).headers["etag"]
    same = await tenant.http.get(path, headers={"authorization": headers["authorization"], "if-none-match": now})
    assert (same.status_code, same.content) == (304, b"")


async def test_groups_are_roles(tenant: Tenant) -> None:
    """§3.5.2: members come and go one at a time and all at once; a group of the directory gives nothing by itself."""
    ann, ben = [await provision(tenant, f"{name}@example.com") for name in ("ann", "ben")]
    body = {"schemas": [GROUP], "displayName": "Tour Guides", "externalId": "g1", "members": [{"value": ann["id"]}]}
    made = await tenant.ask("POST", "/scim/v2/Groups", json=body)
    assert made.status_code == 201, made.text
    group = made.json()
    assert (group["externalId"], [member["value"] for member in group["members"]]) == ("g1", [ann["id"]])
    assert (await tenant.ask("GET", f"/roles/{group['id']}")).json()["grants"] == []
    path = f"/scim/v2/Groups/{group['id']}"

    async def patched(*given: dict[str, Any]) -> list[str]:
        answer = await tenant.ask("PATCH", path, json=operations(*given))
        assert answer.status_code == 200, answer.text
        return sorted(member["value"] for member in answer.json().get("members") or ())

    both = sorted((ann["id"], ben["id"]))
    assert await patched({"op": "add", "path": "members", "value": [{"value": ben["id"]}]}) == both
    assert await patched({"op": "remove", "path": f'members[value eq "{ann["id"]}"]'}) == [ben["id"]]
    assert await patched({"op": "replace", "path": "members", "value": [{"value": ann["id"]}]}) == [ann["id"]]
    assert await patched({"op": "Remove", "path": "members", "value": [{"value": ann["id"]}]}) == []
    assert await patched({"op": "replace", "value": {"displayName": "Guides"}}) == []
    replaced = await tenant.ask("PUT", path, json=body)
    assert (replaced.json()["displayName"], len(replaced.json()["members"])) == ("Tour Guides", 1)
    shown = (await tenant.ask("GET", f"/scim/v2/Users/{ann['id']}")).json()
    assert sorted(it["display"] for it in shown["groups"]) == ["Member", "Tour Guides"]
    found = await find(tenant, "Groups", filter='displayName eq "tour guides"')
    assert [it["id"] for it in found["Resources"]] == [group["id"]]
    few = await find(tenant, "Groups", filter=f'members.value eq "{ann["id"]}"')
    assert few["totalResults"] == 2
    bare = await find(tenant, "Groups", excludedAttributes="members")
    assert not any("members" in it for it in bare["Resources"])
    unknown = operations({"op": "add", "path": "members", "value": [{"value": tenant.told["organization"]["id"]}]})
    assert error(await tenant.ask("PATCH", path, json=unknown)) == (400, "invalidValue")
    assert (await tenant.ask("DELETE", path)).status_code == 204
    assert error(await tenant.ask("GET", path)) == (404, None)
    viewer = (await tenant.role("viewer"))["id"]
    assert error(await tenant.ask("DELETE", f"/scim/v2/Groups/{viewer}")) == (400, "mutability")


async def test_nobody_provisions_beyond_what_they_may_do(tenant: Tenant, other: Tenant) -> None:
    """An admin's key makes nobody an owner, and does not touch one; the last owner stays."""
    admins = await tenant.token_of("admin")
    ann = await provision(tenant, "ann@example.com")
    owner, owners = tenant.told["user"]["id"], (await tenant.role("owner"))["id"]
    add = operations({"op": "add", "path": "members", "value": [{"value": ann["id"]}]})
    off = operations({"op": "replace", "path": "active", "value": False})
    renamed = operations({"op": "replace", "path": "userName", "value": "mine@example.com"})
    assert error(await tenant.ask("PATCH", f"/scim/v2/Groups/{owners}", admins, json=add))[0] == 403
    for body in (off, renamed):
        assert error(await tenant.ask("PATCH", f"/scim/v2/Users/{owner}", admins, json=body))[0] == 403
    assert error(await tenant.ask("DELETE", f"/scim/v2/Users/{owner}", admins))[0] == 403
    assert error(await tenant.ask("PATCH", f"/scim/v2/Users/{owner}", json=off)) == (409, "mutability")
    for role in ("manager", "member", "viewer"):
        assert error(await tenant.ask("GET", "/scim/v2/Users", await tenant.token_of(role)))[0] == 403
    assert error(await other.ask("GET", f"/scim/v2/Users/{ann['id']}")) == (404, None)
    assert error(await other.ask("GET", f"/scim/v2/Groups/{owners}")) == (404, None)
    foreign = {"schemas": [GROUP], "displayName": "Theirs", "members": [{"value": ann["id"]}]}
    assert error(await other.ask("POST", "/scim/v2/Groups", json=foreign)) == (400, "invalidValue")


async def test_it_describes_itself(tenant: Tenant) -> None:
    """§4: what is supported, which resources there are and their attributes."""
    config = (await tenant.ask("GET", "/scim/v2/ServiceProviderConfig")).json()
    assert {name: config[name]["supported"] for name in ("patch", "bulk", "filter", "sort", "etag")} == {
        "patch": True, "bulk": False, "filter": True, "sort": True, "etag": True,
    }  # fmt: skip
    types = await find(tenant, "ResourceTypes")
    assert [(it["name"], it["endpoint"]) for it in types["Resources"]] == [("User", "/Users"), ("Group", "/Groups")]
    schemas = await find(tenant, "Schemas")
    assert [it["id"] for it in schemas["Resources"]] == [USER, GROUP]
    for path in ("ResourceTypes/User", f"Schemas/{GROUP}"):
        assert (await tenant.ask("GET", f"/scim/v2/{path}")).status_code == 200
    assert error(await tenant.ask("GET", "/scim/v2/Schemas/nothing")) == (404, None)
    bare = await tenant.http.get("/api/v1/scim/v2/Users")
    assert bare.status_code == 401


@pytest.mark.parametrize("kind", ["Users", "Groups"])
async def test_large_tenants_are_asked_for_less(tenant: Tenant, admin: Admin, kind: str) -> None:
    """A search that would look at more than ten thousand says so, a lookup by name does not mind."""
    await admin.execute(
        "insert into users (tenant_id, id, email, name, locale, status)"
        " select $1, gen_random_uuid(), n || '@example.org', 'x', 'en', 'active' from generate_series(1, 10001) n",
        tenant.id,
    )
    await admin.execute(
        "insert into role_members (tenant_id, user_id, role_id)"
        " select tenant_id, id, $2::uuid from users where tenant_id = $1 on conflict do nothing",
        tenant.id, (await tenant.role("viewer"))["id"],
    )  # fmt: skip
    filter_ = 'displayName co "x"'
    assert error(await tenant.ask("GET", f"/scim/v2/{kind}", params={"filter": filter_})) == (400, "tooMany")
    assert await names(tenant, 'userName eq "77@example.org"') == ["77@example.org"]
    assert (await find(tenant, "Users", count=1, startIndex=9000))["totalResults"] == 10002
    assert (await find(tenant, "Groups", excludedAttributes="members"))["totalResults"] == 5

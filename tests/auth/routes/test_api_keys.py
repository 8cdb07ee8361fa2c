"""Keys of programs and machines."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import jwt
import pytest

from tests.auth.support import Heard, Tenant, faults, problem
from tests.support.waiting import eventually

Admin = asyncpg.Connection


async def make(tenant: Tenant, path: str = "/api-keys", token: str | None = None, **given: Any) -> dict[str, Any]:
    """A new key."""
    answer = await tenant.ask("POST", path, token, json={"name": "Script", "roles": ["member"], **given})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def exchange(http: httpx.AsyncClient, key: str) -> httpx.Response:
    """What the gateway gets for a key."""
    return await http.post("/internal/api-keys/exchange", json={"key": key, "address": "203.0.113.9"})


async def token_of(tenant: Tenant, key: str) -> str:
    """The access token for a key."""
    return str((await exchange(tenant.http, key)).json()["access_token"])


@pytest.mark.parametrize("path", ["/api-keys", "/devices"])
async def test_the_secret_is_told_once_and_kept_as_a_hash(tenant: Tenant, admin: Admin, path: str) -> None:
    """Neither a list nor the database knows it again; its beginning tells keys apart."""
    made = await make(tenant, path)
    key = made.pop("key")
    assert key.startswith("mlr_")
    assert key.startswith(made["prefix"])
    assert len(key) - len(made["prefix"]) >= 36
    (listed,) = (await tenant.ask("GET", path)).json()["items"]
    assert listed == made == (await tenant.ask("GET", f"{path}/{made['id']}")).json()
    row = await admin.fetchval("select row_to_json(k)::text from api_keys k")
    assert key not in row
    assert [role["slug"] for role in made["roles"]] == ["member"]


async def test_a_key_is_exchanged_for_a_token_of_its_own_roles(tenant: Tenant) -> None:
    """The token is of kind api_key, lives five minutes, and may do what the key's roles give."""
    made = await make(tenant, roles=["viewer"])
    answer = (await exchange(tenant.http, made["key"])).json()
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert (claims["kind"], claims["sub"], claims["tid"]) == ("api_key", made["id"], str(tenant.id))
    assert answer["expires_in"] == 300
    mine = (await tenant.ask("GET", "/users/me/permissions", answer["access_token"])).json()
    assert [role["slug"] for role in mine["roles"]] == ["viewer"]
    refused = await tenant.ask("POST", "/roles", answer["access_token"], json={"name": "X"})
    assert problem(refused) == (403, "forbidden")
    used = (await tenant.ask("GET", f"/api-keys/{made['id']}")).json()
    assert used["last_used_address"] == "203.0.113.9"
    assert used["last_used_at"] is not None


@pytest.mark.parametrize("key", ["", "mlr_", "mlr_" + "A" * 64, "mrt_" + "A" * 64, "mlr_äöü", "mlr_" + "!" * 64])
async def test_what_is_no_key_is_refused_alike(http: httpx.AsyncClient, key: str) -> None:
    """Malformed, unknown and foreign secrets get the same answer."""
    assert problem(await exchange(http, key)) == (401, "invalid-api-key")


async def test_a_key_expires_and_its_tokens_with_it(tenant: Tenant) -> None:
    """A token lives no longer than its key; afterwards there is none."""
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    made = await make(tenant, expires_at=soon.isoformat())
    assert (await exchange(tenant.http, made["key"])).json()["expires_in"] <= 1

    async def expired() -> bool:
        return (await exchange(tenant.http, made["key"])).status_code == 401

    await eventually(expired)


async def test_faults_of_a_key_are_named(tenant: Tenant) -> None:
    """No name, no such role, an end in the past or without a time zone, no role at all."""
    body = {"name": " ", "roles": ["member"], "expires_at": "2020-01-01T00:00:00Z"}
    assert faults(await tenant.ask("POST", "/api-keys", json=body)) == {
        "/name": "invalid_name", "/expires_at": "in_the_past",
    }  # fmt: skip
    unknown = await tenant.ask("POST", "/api-keys", json={"name": "X", "roles": ["king"]})
    assert faults(unknown) == {"/roles/0": "unknown_role"}
    shape = await tenant.ask("POST", "/api-keys", json={"name": "X", "roles": [], "expires_at": "2099-01-01T00:00:00"})
    assert faults(shape).keys() == {"/roles", "/expires_at"}
    never = await make(tenant, expires_at="9999-12-31T23:59:59-14:00")
    assert never["expires_at"] == "9999-12-31T23:59:59.999Z"


async def test_nobody_makes_a_key_beyond_their_own_grants(tenant: Tenant) -> None:
    """A viewer makes viewer's keys, and an admin no owner's; devices take the right to add users."""
    viewer, admin = await tenant.token_of("viewer"), await tenant.token_of("admin")
    await make(tenant, token=viewer, roles=["viewer"])
    for token, role in ((viewer, "member"), (admin, "owner")):
        answer = await tenant.ask("POST", "/api-keys", token, json={"name": "X", "roles": [role]})
        assert problem(answer) == (403, "beyond-own-grants")
    device = await tenant.ask("POST", "/devices", viewer, json={"name": "X", "roles": ["viewer"]})
    assert problem(device) == (403, "forbidden")


async def test_a_key_makes_no_keys(tenant: Tenant) -> None:
    """Only people do, so that a leaked key does not outlive its end by another."""
    token = await token_of(tenant, (await make(tenant, roles=["owner"]))["key"])
    answer = await tenant.ask("POST", "/api-keys", token, json={"name": "X", "roles": ["viewer"]})
    assert problem(answer) == (403, "people-only")


async def test_people_see_their_own_keys_and_managers_of_people_all(tenant: Tenant) -> None:
    """Another's key is not found by a member, and is ended by the owner."""
    alice, bob = await tenant.token_of("member"), await tenant.token_of("member")
    key = await make(tenant, token=alice)
    path = f"/api-keys/{key['id']}"
    assert (await tenant.ask("GET", "/api-keys", bob)).json()["items"] == []
    for method, body in (("GET", None), ("PATCH", {"name": "Mine"}), ("DELETE", None)):
        assert (await tenant.ask(method, path, bob, json=body)).status_code == 404
    assert (await tenant.ask("PATCH", path, alice, json={"name": "Nightly"})).json()["name"] == "Nightly"
    assert [it["id"] for it in (await tenant.ask("GET", "/api-keys")).json()["items"]] == [key["id"]]
    assert (await tenant.ask("DELETE", path)).status_code == 204


async def test_an_ended_key_is_nothing_and_its_tokens_are_revoked(tenant: Tenant, heard: Heard) -> None:
    """The key is refused at once, and what it was exchanged for is announced as revoked."""
    key = await make(tenant)
    await exchange(tenant.http, key["key"])
    assert (await tenant.ask("DELETE", f"/api-keys/{key['id']}")).status_code == 204
    (revoked,) = await heard.wait(tenant.id, "auth.session.revoked")
    assert (revoked["session_id"], revoked["user_id"]) == (key["id"], key["id"])
    assert problem(await exchange(tenant.http, key["key"])) == (401, "invalid-api-key")
    assert (await tenant.ask("GET", f"/api-keys/{key['id']}")).status_code == 404


@pytest.mark.parametrize("way", ["deactivate", "delete", "lower"])
async def test_api_keys_end_with_what_their_maker_may_do(tenant: Tenant, way: str) -> None:
    """A maker who leaves or may do less than the key takes it with them; a device stays."""
    maker = await tenant.add("admin")
    token = (await tenant.sign_in(maker["email"]))["access_token"]
    wide, narrow = await make(tenant, token=token, roles=["admin"]), await make(tenant, token=token, roles=["viewer"])
    device = await make(tenant, "/devices", token, roles=["admin"])
    user = f"/users/{maker['id']}"
    await {
        "deactivate": lambda: tenant.ask("POST", f"{user}/deactivate"),
        "delete": lambda: tenant.ask("DELETE", user),
        "lower": lambda: tenant.ask("PATCH", user, json={"roles": ["member"]}),
    }[way]()
    answers = [(await exchange(tenant.http, it["key"])).status_code for it in (wide, narrow, device)]
    assert answers == [401, 200 if way == "lower" else 401, 200]


async def test_api_keys_end_when_a_role_of_their_maker_gives_less(tenant: Tenant) -> None:
    """Also keys of other roles, which the maker could not give any more; what is still covered stays."""
    people, roles = ({"resource": name, "actions": ["read"]} for name in ("users", "roles"))
    helper, reader = [
        (await tenant.ask("POST", "/roles", json={"name": name, "slug": name.lower(), "grants": given})).json()
        for name, given in (("Helper", [people, roles]), ("Reader", [people]))
    ]
    maker = await tenant.add(helper["slug"])
    token = (await tenant.sign_in(maker["email"]))["access_token"]
    both, one = [await make(tenant, token=token, roles=[role["id"]]) for role in (helper, reader)]
    smaller = {"grants": [roles]}
    assert (await tenant.ask("PATCH", f"/roles/{helper['id']}", json=smaller)).status_code == 200
    assert [(await exchange(tenant.http, it["key"])).status_code for it in (both, one)] == [200, 401]


async def test_a_role_that_a_key_has_stays(tenant: Tenant) -> None:
    """It can be deleted when the key has ended."""
    role = (await tenant.ask("POST", "/roles", json={"name": "Reader"})).json()
    key = await make(tenant, roles=[role["id"]])
    assert problem(await tenant.ask("DELETE", f"/roles/{role['id']}")) == (409, "role-in-use")
    await tenant.ask("DELETE", f"/api-keys/{key['id']}")
    assert (await tenant.ask("DELETE", f"/roles/{role['id']}")).status_code == 204


async def test_keys_of_another_tenant_do_not_exist(tenant: Tenant, other: Tenant) -> None:
    """Not by id, not in lists, and not among the devices."""
    key = await make(tenant)
    assert (await other.ask("GET", "/api-keys")).json()["items"] == []
    for path in (f"/api-keys/{key['id']}", "/api-keys/nonsense"):
        for method, body in (("GET", None), ("PATCH", {"name": "Mine"}), ("DELETE", None)):
            assert (await other.ask(method, path, json=body)).status_code == 404
    assert (await tenant.ask("GET", f"/devices/{key['id']}")).status_code == 404

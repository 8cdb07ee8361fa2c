"""Signing up, in, on and out."""

import asyncio
import time
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from services.auth.main import build
from tests.auth.support import PASSWORD, Heard, Tenant, faults, problem, settings, sign_up
from tests.support.asgi import running
from tests.support.postgres import Database

Admin = asyncpg.Connection


async def refresh(tenant: Tenant, token: str) -> httpx.Response:
    """The answer to a refresh."""
    return await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def test_sign_up_makes_an_organization_and_signs_its_owner_in(tenant: Tenant) -> None:
    """The answer has the organization, its owner and tokens that are good at once."""
    me = await tenant.ask("GET", "/users/me")
    assert me.status_code == 200, me.text
    assert me.json() == tenant.told["user"]
    assert [role["slug"] for role in me.json()["roles"]] == ["owner"]
    assert (tenant.told["token_type"], tenant.told["expires_in"]) == ("Bearer", 600)
    assert tenant.told["organization"]["slug"] == tenant.slug


async def test_a_token_in_a_body_is_good_at_its_own_host_only(tenant: Tenant, http: httpx.AsyncClient) -> None:
    """At another organization's host it is refused as one in a header is, and is worth as much afterwards."""
    other = await sign_up(http)
    token, there = tenant.told["refresh_token"], {"x-millrace-tenant": str(other.id)}
    for path in ("refresh", "logout"):
        answer = await http.post(f"/api/v1/auth/{path}", json={"refresh_token": token}, headers=there)
        assert problem(answer) == (403, "tenant-mismatch")
    assert (await tenant.anonymous("/auth/refresh", {"refresh_token": token})).status_code == 200


async def test_sign_up_announces_the_tenant_its_roles_and_its_owner(tenant: Tenant, heard: Heard) -> None:
    """One tenant, five roles with what they add up to, one user, in one transaction."""
    roles = {role["slug"]: role for role in await heard.wait(tenant.id, "auth.role.created", 5)}
    (created,) = await heard.wait(tenant.id, "auth.tenant.created")
    (owner,) = await heard.wait(tenant.id, "auth.user.created")
    assert roles.keys() == {"owner", "admin", "manager", "member", "viewer"}
    assert roles["owner"]["grants"] == [{"resource": "*", "actions": ["*"]}]
    assert roles["owner"]["version"] == 1
    named = {"id": str(tenant.id), "slug": tenant.slug, "name": "Acme", "status": "active", "domains": []}
    assert created.items() >= {**named, "locale": "en", "time_zone": "UTC", "limits": {}}.items()
    assert owner["roles"] == [roles["owner"]["id"]]


async def test_sign_up_names_every_fault(http: httpx.AsyncClient) -> None:
    """All faults are told at once, each with its place."""
    body = {"organization": " ", "slug": "No Slug", "email": "nobody", "password": "short", "name": "\u0007"}
    assert faults(await http.post("/api/v1/auth/signup", json=body)) == {
        "/organization": "invalid_name",
        "/slug": "invalid_slug",
        "/email": "invalid_email",
        "/password": "too_short",
        "/name": "invalid_name",
    }
    unknown = await http.post("/api/v1/auth/signup", json={"slug": "acme", "plan": "gold"})
    assert faults(unknown)["/plan"] == "unknown_field"
    assert faults(unknown)["/password"] == "required"


async def test_slugs_of_the_platform_are_reserved(http: httpx.AsyncClient) -> None:
    """Nobody signs up as `www`."""
    body = {"organization": "A", "slug": "www", "email": "a@example.com", "password": PASSWORD, "name": "A"}
    assert faults(await http.post("/api/v1/auth/signup", json=body)) == {"/slug": "reserved_slug"}


async def test_of_two_who_sign_up_with_one_slug_at_once_one_succeeds(http: httpx.AsyncClient, admin: Admin) -> None:
    """The other gets a conflict, and nothing of it stays."""
    bodies = [
        {"organization": "A", "slug": "race", "email": f"a{n}@example.com", "password": PASSWORD, "name": "A"}
        for n in range(4)
    ]
    answers = await asyncio.gather(*(http.post("/api/v1/auth/signup", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert {problem(answer)[1] for answer in answers if answer.status_code == 409} == {"slug-taken"}
    assert await admin.fetchval("select count(*) from users") == 1
    assert await admin.fetchval("select count(*) from roles") == 5


async def test_login_does_not_care_about_the_case_of_an_address(tenant: Tenant) -> None:
    """The address is the same person's in capitals."""
    told = await tenant.sign_in(f" {tenant.email.upper()}")
    assert told["user"]["id"] == tenant.told["user"]["id"]
    assert (await tenant.ask("GET", "/users/me", told["access_token"])).status_code == 200


async def test_login_needs_a_tenant(http: httpx.AsyncClient) -> None:
    """Where the gateway found no tenant, the answer says how to name one."""
    answer = await http.post("/api/v1/auth/login", json={"email": "a@example.com", "password": PASSWORD})
    assert problem(answer) == (401, "unauthenticated")
    assert "X-Tenant" in answer.json()["detail"]


async def test_wrong_address_and_wrong_password_look_the_same(tenant: Tenant) -> None:
    """But for the request id the answers are equal."""
    answers = [
        await tenant.anonymous("/auth/login", {"email": "nobody@example.com", "password": PASSWORD}),
        await tenant.anonymous("/auth/login", {"email": tenant.email, "password": "wrong password"}),
    ]
    assert [problem(answer) for answer in answers] == [(401, "invalid-credentials")] * 2
    first, second = (answer.json() | {"request_id": ""} for answer in answers)
    assert first == second


async def test_wrong_address_and_wrong_password_take_the_same(
    database: Database, nats_url: str, redis_url: str
) -> None:
    """Each costs one verification: of interleaved tries the medians differ by less than a quarter.

    Seconds of CPU are compared, which a busy machine does not stretch as it does those of the clock.
    """
    costly = settings(database, nats_url, redis_url, argon2_time_cost=8, argon2_memory_kib=16384)
    async with running(build(costly)) as http:
        tenant = await sign_up(http)
        for number in range(3):
            await tenant.add("viewer", f"known-{number}@example.com")
        body = {"password": "wrong password"}
        wrong, nobody = [], []
        for number in range(12):
            wrong.append(await _seconds(tenant, body | {"email": f"Known-{number % 3}@Example.com"}))
            nobody.append(await _seconds(tenant, body | {"email": f"nobody-{number % 3}@example.com"}))
    assert 0.75 < median(nobody) / median(wrong) < 1.33


async def _seconds(tenant: Tenant, body: dict[str, str]) -> float:
    started = time.process_time()
    assert (await tenant.anonymous("/auth/login", body)).status_code == 401
    return time.process_time() - started


async def test_a_user_of_another_tenant_cannot_sign_in(tenant: Tenant, other: Tenant) -> None:
    """The same address and password are nothing at another tenant's host."""
    answer = await other.anonymous("/auth/login", {"email": tenant.email, "password": PASSWORD})
    assert problem(answer) == (401, "invalid-credentials")


async def test_a_hash_with_old_parameters_is_renewed_at_sign_in(
    tenant: Tenant, database: Database, nats_url: str, redis_url: str, admin: Admin
) -> None:
    """After the costs were raised, a user's next login stores a hash with the new ones, which still fits."""
    query = "select password_hash from users where tenant_id = $1"
    assert "m=8,t=1," in await admin.fetchval(query, tenant.id)
    async with running(build(settings(database, nats_url, redis_url, argon2_memory_kib=64))) as http:
        later = Tenant(tenant.id, tenant.slug, tenant.email, tenant.told, http)
        await later.sign_in(tenant.email)
        assert "m=64,t=1," in await admin.fetchval(query, tenant.id)
        await later.sign_in(tenant.email)


async def test_refreshing_rotates_the_token(tenant: Tenant) -> None:
    """Each refresh gives a new pair, of the same session."""
    first = (await refresh(tenant, tenant.told["refresh_token"])).json()
    second = (await refresh(tenant, first["refresh_token"])).json()
    assert len({tenant.told["refresh_token"], first["refresh_token"], second["refresh_token"]}) == 3
    sessions = (await tenant.ask("GET", "/sessions", second["access_token"])).json()["items"]
    assert [session["current"] for session in sessions] == [True]


async def test_tabs_that_refresh_at_once_all_go_on(tenant: Tenant) -> None:
    """Within the grace a used token gives each tab a successor of its own, and all are good."""
    answers = await asyncio.gather(*(refresh(tenant, tenant.told["refresh_token"]) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    tokens = [answer.json()["refresh_token"] for answer in answers]
    assert len(set(tokens)) == 5
    assert [(await refresh(tenant, token)).status_code for token in tokens] == [200] * 5


async def test_reuse_after_the_grace_ends_the_whole_family(tenant: Tenant, admin: Admin, heard: Heard) -> None:
    """Whoever holds the old or the newest token of a stolen session is out, and the gateway hears of it."""
    newest = (await refresh(tenant, tenant.told["refresh_token"])).json()["refresh_token"]
    await admin.execute("update refresh_tokens set used_at = used_at - interval '11 s' where used_at is not null")
    assert problem(await refresh(tenant, tenant.told["refresh_token"])) == (401, "invalid-refresh-token")
    assert problem(await refresh(tenant, newest)) == (401, "invalid-refresh-token")
    (revoked,) = await heard.wait(tenant.id, "auth.session.revoked")
    session = await admin.fetchval("select id from sessions where tenant_id = $1", tenant.id)
    assert revoked["session_id"] == str(session)
    assert revoked["user_id"] == tenant.told["user"]["id"]


async def test_an_expired_token_is_refused(tenant: Tenant, admin: Admin) -> None:
    """A refresh token ends thirty days after it was made."""
    await admin.execute("update refresh_tokens set expires_at = now()")
    assert problem(await refresh(tenant, tenant.told["refresh_token"])) == (401, "invalid-refresh-token")


async def test_a_session_ends_however_often_it_is_refreshed(tenant: Tenant, admin: Admin) -> None:
    """Past the end of the session its tokens are nothing."""
    await admin.execute("update sessions set expires_at = now()")
    assert problem(await refresh(tenant, tenant.told["refresh_token"])) == (401, "invalid-refresh-token")


async def test_what_is_no_refresh_token_is_refused(tenant: Tenant) -> None:
    """Malformed, of no tenant, or made up: the same answer."""
    real = tenant.told["refresh_token"]
    for token in ("", "mrt_", "x" * 60, "mrt_ß", real[:-4] + "AAAA", real[4:], real + "AAAA"):
        assert problem(await refresh(tenant, token)) == (401, "invalid-refresh-token"), token


async def test_tokens_are_not_kept_in_clear(tenant: Tenant, admin: Admin) -> None:
    """Only the hash of a refresh token is in the database, and only the argon2id hash of a password."""
    assert len(await admin.fetchval("select hash from refresh_tokens")) == 32
    assert (await admin.fetchval("select password_hash from users")).startswith("$argon2id$")


async def test_logging_out_ends_the_session(tenant: Tenant, heard: Heard) -> None:
    """By access token or refresh token, also twice; the refresh token is nothing any more."""
    by_access = await tenant.sign_in(tenant.email)
    for _ in range(2):
        answer = await tenant.ask("POST", "/auth/logout", by_access["access_token"])
        assert answer.status_code == 204, answer.text
    assert problem(await refresh(tenant, by_access["refresh_token"])) == (401, "invalid-refresh-token")
    by_refresh = await tenant.anonymous("/auth/logout", {"refresh_token": tenant.told["refresh_token"]})
    assert by_refresh.status_code == 204
    assert problem(await refresh(tenant, tenant.told["refresh_token"])) == (401, "invalid-refresh-token")
    assert len(await heard.wait(tenant.id, "auth.session.revoked", 2)) == 2


async def test_logging_out_needs_a_token(http: httpx.AsyncClient) -> None:
    """Nobody in particular cannot log out."""
    assert problem(await http.post("/api/v1/auth/logout")) == (401, "unauthenticated")
    assert problem(await http.post("/api/v1/auth/logout", json={})) == (401, "unauthenticated")


async def test_tokens_are_not_cached(tenant: Tenant) -> None:
    """What carries tokens says that nobody is to keep it."""
    answer = await refresh(tenant, tenant.told["refresh_token"])
    assert answer.headers["cache-control"] == "no-store"


async def test_a_user_has_a_hundred_sessions_at_most(tenant: Tenant, admin: Admin, heard: Heard) -> None:
    """The oldest beyond a hundred ends when another begins."""
    user = UUID(tenant.told["user"]["id"])
    await admin.executemany(
        "insert into sessions (tenant_id, id, user_id, expires_at) values ($1, $2, $3, now() + interval '1 day')",
        [(tenant.id, uuid4(), user) for _ in range(99)],
    )
    first: Any = await admin.fetchval("select id from sessions order by last_used_at, id limit 1")
    await tenant.sign_in(tenant.email)
    (revoked,) = await heard.wait(tenant.id, "auth.session.revoked")
    assert revoked["session_id"] == str(first)

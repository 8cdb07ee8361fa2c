"""Where a user is signed in."""

from tests.auth.support import Heard, Tenant, problem


async def test_sessions_tell_where_one_is_signed_in(tenant: Tenant) -> None:
    """Device and address of each, and which is this one."""
    headers = {
        "x-millrace-tenant": str(tenant.id),
        "user-agent": "Tests/1",
        "x-forwarded-for": "203.0.113.7, 10.0.0.1",
    }
    body = {"email": tenant.email, "password": "correct horse battery staple 9"}
    await tenant.http.post("/api/v1/auth/login", json=body, headers=headers)
    here, there = (await tenant.ask("GET", "/sessions")).json()["items"]
    assert (here["current"], there["current"]) == (True, False)
    assert (there["user_agent"], there["address"]) == ("Tests/1", "203.0.113.7")


async def test_sessions_come_in_pages(tenant: Tenant) -> None:
    """The cursor goes on where the page ended."""
    for _ in range(2):
        await tenant.sign_in(tenant.email)
    first = (await tenant.ask("GET", "/sessions?limit=2")).json()
    rest = (await tenant.ask("GET", f"/sessions?limit=2&cursor={first['next_cursor']}")).json()
    assert (len(first["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)
    assert (await tenant.ask("GET", "/sessions?limit=0")).status_code == 422


async def test_ending_a_session_ends_that_one(tenant: Tenant, heard: Heard) -> None:
    """Its refresh token is nothing, the others go on."""
    gone = await tenant.sign_in(tenant.email)
    listed = (await tenant.ask("GET", "/sessions", gone["access_token"])).json()["items"]
    session = next(it["id"] for it in listed if it["current"])
    assert (await tenant.ask("DELETE", f"/sessions/{session}")).status_code == 204
    assert (await tenant.ask("DELETE", f"/sessions/{session}")).status_code == 404
    (revoked,) = await heard.wait(tenant.id, "auth.session.revoked")
    assert revoked["session_id"] == session
    answer = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": gone["refresh_token"]})
    assert problem(answer) == (401, "invalid-refresh-token")
    answer = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": tenant.told["refresh_token"]})
    assert answer.status_code == 200


async def test_nobody_ends_the_session_of_another(tenant: Tenant, other: Tenant) -> None:
    """Neither of another tenant nor of another user: there is no such session."""
    session = (await tenant.ask("GET", "/sessions")).json()["items"][0]["id"]
    assert (await other.ask("DELETE", f"/sessions/{session}")).status_code == 404
    member = await tenant.token_of("member")
    assert (await tenant.ask("DELETE", f"/sessions/{session}", member)).status_code == 404
    assert (await tenant.ask("DELETE", "/sessions/nonsense", member)).status_code == 404


async def test_ending_all_sessions_ends_every_token(tenant: Tenant, heard: Heard) -> None:
    """All tokens issued before are refused from now on; a login afterwards is good."""
    assert (await tenant.ask("DELETE", "/sessions")).status_code == 204
    (revoked,) = await heard.wait(tenant.id, "auth.session.revoked")
    assert revoked["session_id"] is None
    answer = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": tenant.told["refresh_token"]})
    assert problem(answer) == (401, "invalid-refresh-token")
    assert (await tenant.sign_in(tenant.email))["user"]["id"] == revoked["user_id"]

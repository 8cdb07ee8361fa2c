"""What attackers try at sign-in and with bodies, and do not get."""

from typing import Any

import httpx
import pytest

from tests.auth.support import PASSWORD, Tenant, faults


async def test_no_field_is_set_that_is_not_offered(tenant: Tenant) -> None:
    """Mass assignment: what an answer shows is not what a request may set; each such field is refused by name."""
    user = await tenant.add("viewer")
    mine = (await tenant.sign_in(user["email"]))["access_token"]
    shown = (await tenant.ask("GET", "/users/me", mine)).json()
    roles = (await tenant.ask("GET", "/roles")).json()["items"]
    bodies: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", "/users/me", {"roles": ["owner"]}),
        ("PATCH", "/users/me", {"status": "active", "email_verified": True}),
        ("PATCH", "/users/me", {"id": tenant.told["user"]["id"], "tenant_id": str(tenant.id)}),
        ("PATCH", f"/users/{user['id']}", {"email_verified": True, "password_hash": "x"}),
        ("POST", "/users", {"email": "x@example.com", "name": "x", "status": "active", "mfa": True}),
        ("POST", "/roles", {"name": "x", "seeded": True, "version": 9}),
        ("PATCH", f"/roles/{roles[0]['id']}", {"slug": "owner", "seeded": False}),
        ("PATCH", "/organizations/current", {"status": "active", "slug": "other", "id": str(tenant.id)}),
        ("POST", "/api-keys", {"name": "x", "roles": ["viewer"], "created_by": user["id"], "kind": "device"}),
        ("POST", "/sso/providers", {"name": "x", "maker_roles": [roles[0]["id"]]}),
    ]
    for method, path, body in bodies:
        token = mine if path == "/users/me" else None
        told = faults(await tenant.ask(method, path, token, json=body))
        offered = {"name", "email"} if path == "/users/me" else {"name", "email", "roles"}
        assert {name for name in body if told.get(f"/{name}") == "unknown_field"} == set(body) - offered, (path, told)
    assert (await tenant.ask("GET", "/users/me", mine)).json() == shown


async def test_signing_up_chooses_neither_id_nor_role(http: httpx.AsyncClient) -> None:
    """Nor the state of the organization."""
    body = {
        "organization": "Acme", "slug": "mass", "email": "o@example.com", "password": PASSWORD, "name": "O",
        "roles": ["owner"], "id": "00000000-0000-7000-8000-000000000000", "status": "active",
    }  # fmt: skip
    told = faults(await http.post("/api/v1/auth/signup", json=body))
    assert {name: told[f"/{name}"] for name in ("roles", "id", "status")} == dict.fromkeys(
        ("roles", "id", "status"), "unknown_field"
    )


async def test_a_session_cannot_be_given_to_somebody(tenant: Tenant) -> None:
    """Fixation: tokens that come along with a sign-in are neither taken over nor continued."""
    user = await tenant.add("member")
    mine = tenant.told
    headers = {
        "x-millrace-tenant": str(tenant.id), "authorization": f"Bearer {mine['access_token']}",
        "cookie": f"session={mine['refresh_token']}; access_token={mine['access_token']}",
    }  # fmt: skip
    body = {"email": user["email"], "password": PASSWORD}
    answer = await tenant.http.post("/api/v1/auth/login", json=body, headers=headers)
    told = answer.json()
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert {told["access_token"], told["refresh_token"]}.isdisjoint({mine["access_token"], mine["refresh_token"]})
    assert (await tenant.ask("GET", "/users/me", told["access_token"])).json()["id"] == user["id"]
    assert (await tenant.ask("GET", "/users/me")).json()["id"] == mine["user"]["id"]
    again = await tenant.sign_in(user["email"])
    sessions = (await tenant.ask("GET", "/sessions", again["access_token"])).json()["items"]
    assert len({session["id"] for session in sessions}) == 2


@pytest.mark.parametrize("where", ["access_token", "authorization", "token", "session", "__Host-millrace-sso"])
async def test_nothing_is_done_on_the_word_of_a_browser(tenant: Tenant, where: str) -> None:
    """CSRF: a good token in a cookie or in the address signs nobody in, as a browser would send both by itself."""
    token = tenant.told["access_token"]
    for request in (
        {"headers": {"cookie": f"{where}={token}"}},
        {"params": {where: token}},
        {"headers": {"cookie": f"{where}=Bearer {token}", "origin": "https://evil.example"}},
    ):
        assert (await tenant.http.get("/api/v1/users/me", **request)).status_code == 401  # type: ignore[arg-type]
        assert (await tenant.http.delete("/api/v1/sessions", **request)).status_code == 401  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_a_form_of_another_site_signs_nobody_in(tenant: Tenant, kind: str) -> None:
    """Login CSRF: what a form can send without asking first (a simple request) is not taken as JSON."""
    body = f'{{"email": "{tenant.email}", "password": "{PASSWORD}"}}'
    headers = {"x-millrace-tenant": str(tenant.id), "content-type": kind, "origin": "https://evil.example"}
    for path in ("login", "refresh", "signup", "sso/token"):
        answer = await tenant.http.post(f"/api/v1/auth/{path}", content=body, headers=headers)
        assert answer.status_code == 415, (path, answer.text)


async def test_a_token_is_good_until_it_is_given_back(tenant: Tenant) -> None:
    """Replay: a refresh token whose session was ended gives nothing, however often and at whatever door."""
    told = await tenant.sign_in(tenant.email)
    used = {"refresh_token": told["refresh_token"]}
    assert (await tenant.http.post("/api/v1/auth/logout", json=used)).status_code == 204
    for path in ("refresh", "refresh", "logout"):
        answer = await tenant.http.post(f"/api/v1/auth/{path}", json=used)
        assert (path, answer.status_code) in {("refresh", 401), ("logout", 204)}
    for field in ("mfa_token", "token"):
        wrong = {field: told["refresh_token"]}
        path = "mfa/verify" if field == "mfa_token" else "sso/token"
        body = wrong | ({"code": "000000"} if field == "mfa_token" else {})
        assert (await tenant.http.post(f"/api/v1/auth/{path}", json=body)).status_code == 401

"""Acting in another's name."""

import jwt
import pytest

from tests.auth.support import PASSWORD, Heard, Mailbox, Tenant, faults, problem

CONSENT = {"security": {"impersonation": True}}
WHY = {"reason": "ticket 4711"}


@pytest.fixture
async def consenting(tenant: Tenant) -> Tenant:
    """A tenant whose policy consents."""
    assert (await tenant.ask("PATCH", "/organizations/current", json=CONSENT)).status_code == 200
    return tenant


async def test_it_takes_consent_a_right_and_a_reason(tenant: Tenant) -> None:
    """Without the organization's consent nobody may; with it who manages users may, for a reason, not as themselves."""
    member = await tenant.add("member")
    path = f"/users/{member['id']}/impersonate"
    assert problem(await tenant.ask("POST", path, json=WHY)) == (403, "impersonation-not-allowed")
    await tenant.ask("PATCH", "/organizations/current", json=CONSENT)
    assert problem(await tenant.ask("POST", path, await tenant.token_of("manager"), json=WHY)) == (403, "forbidden")
    assert faults(await tenant.ask("POST", path, json={"reason": " "})) == {"/reason": "invalid_reason"}
    own = await tenant.ask("POST", f"/users/{tenant.told['user']['id']}/impersonate", json=WHY)
    assert problem(own) == (409, "own-name")
    assert (await tenant.ask("POST", path, json=WHY)).status_code == 201


async def test_nobody_acts_as_one_who_may_do_more(consenting: Tenant) -> None:
    """An admin may act as a member, and not as an owner or as one with a role beyond the admin's."""
    admin, member = await consenting.token_of("admin"), await consenting.add("member")
    owner = consenting.told["user"]["id"]
    refused = await consenting.ask("POST", f"/users/{owner}/impersonate", admin, json=WHY)
    assert problem(refused) == (403, "beyond-own-grants")
    body = {"name": "Enders", "grants": [{"resource": "organization", "actions": ["delete"]}]}
    role = (await consenting.ask("POST", "/roles", json=body)).json()
    ender = await consenting.add(role["id"])
    refused = await consenting.ask("POST", f"/users/{ender['id']}/impersonate", admin, json=WHY)
    assert problem(refused) == (403, "beyond-own-grants")
    assert (await consenting.ask("POST", f"/users/{member['id']}/impersonate", admin, json=WHY)).status_code == 201


async def test_the_token_says_who_acts_and_everyone_sees_it(consenting: Tenant, heard: Heard, mailbox: Mailbox) -> None:
    """In the token, in both people's sessions, in the audit log and in a mail; either of them ends it."""
    member = await consenting.add("member")
    told = (await consenting.ask("POST", f"/users/{member['id']}/impersonate", json=WHY)).json()
    claims = jwt.decode(told["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["act"]["sub"]) == (member["id"], consenting.told["user"]["id"])
    assert claims["name"] == "member (by Olga Owner)"
    assert (told["expires_in"], "refresh_token" in told) == (600, False)
    me = await consenting.ask("GET", "/users/me", told["access_token"])
    assert me.json()["id"] == member["id"]
    theirs = (await consenting.sign_in(member["email"]))["access_token"]
    for token in (theirs, None):
        listed = (await consenting.ask("GET", "/sessions", token)).json()["items"]
        shown = next(it for it in listed if it["id"] == told["session_id"])
        assert shown["impersonator"] == {
            "id": consenting.told["user"]["id"], "name": "Olga Owner", "reason": "ticket 4711"
        }  # fmt: skip
    entries = (await consenting.ask("GET", "/admin/audit-log?action=session.impersonated")).json()["items"]
    assert [(it["actor"]["name"], it["target"]["id"], it["details"]["reason"]) for it in entries] == [
        ("Olga Owner", member["id"], "ticket 4711")
    ]
    assert "ticket 4711" in (await mailbox.wait(member["email"], 2)).get_content()
    assert (await consenting.ask("DELETE", f"/sessions/{told['session_id']}", theirs)).status_code == 204
    assert (await heard.wait(consenting.id, "auth.session.revoked"))[-1]["session_id"] == told["session_id"]
    again = (await consenting.ask("POST", f"/users/{member['id']}/impersonate", json=WHY)).json()
    assert (await consenting.ask("DELETE", f"/sessions/{again['session_id']}")).status_code == 204


async def test_it_changes_no_account_and_no_right(consenting: Tenant) -> None:
    """Whatever rights the other has: no password, factor, key, user, role or policy; only its own session it ends."""
    admin = await consenting.add("admin")
    told = (await consenting.ask("POST", f"/users/{admin['id']}/impersonate", json=WHY)).json()
    token, other = told["access_token"], (await consenting.add("member"))["id"]
    tried = [
        ("POST", "/users/me/password", {"current_password": PASSWORD, "new_password": "another battery horse 7"}),
        ("POST", "/mfa/totp", None),
        ("POST", "/api-keys", {"name": "key", "roles": ["member"]}),
        ("POST", "/passkeys/options", None),
        ("PATCH", "/users/me", {"name": "Else"}),
        ("POST", "/users", {"email": "x@example.com", "name": "X"}),
        ("POST", "/roles", {"name": "R", "grants": []}),
        ("PATCH", "/organizations/current", {"name": "Else"}),
        ("POST", f"/users/{other}/impersonate", WHY),
        ("DELETE", "/sessions", None),
    ]
    for method, path, body in tried:
        answer = await consenting.ask(method, path, token, json=body)
        assert problem(answer) in ((403, "impersonating"), (404, "not-found"), (405, "method-not-allowed")), path
    assert (await consenting.ask("GET", "/users", token)).status_code == 200
    assert (await consenting.ask("DELETE", f"/sessions/{told['session_id']}", token)).status_code == 204

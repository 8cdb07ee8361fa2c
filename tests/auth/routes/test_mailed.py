"""What people do by links that were mailed to them."""

from typing import Any

import asyncpg
import httpx
import pytest

from tests.auth.support import PASSWORD, Heard, Mailbox, Tenant, faults, problem, sign_up
from tests.support.waiting import eventually

Admin = asyncpg.Connection
NEW = "lemur quartz bicycle 41"
ADA = "ada@example.com"


async def post(tenant: Tenant, path: str, **body: Any) -> httpx.Response:
    """A request without a token, at the tenant's host."""
    return await tenant.anonymous(path, body)


async def invite(tenant: Tenant, **given: Any) -> dict[str, Any]:
    """Invites Ada."""
    answer = await tenant.ask("POST", "/invitations", json={"email": ADA, **given})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_who_is_invited_joins_with_a_password(tenant: Tenant, mailbox: Mailbox, heard: Heard) -> None:
    """The mail's link is good once; joined, one is active, confirmed, and has the roles of the invitation."""
    invited = await invite(tenant, roles=["manager"])
    assert (invited["status"], invited["name"], invited["email_verified"]) == ("invited", "ada", False)
    mail = await mailbox.wait(ADA)
    assert mail["Subject"] == "You are invited to Acme"
    assert f"http://{tenant.slug}.localhost:8000/accept-invitation?token=" in mail.get_content()
    token = await mailbox.token(ADA)
    joined = await post(tenant, "/auth/invitations/accept", token=token, password=NEW, name="Ada Lovelace")
    assert joined.status_code == 200, joined.text
    user = joined.json()["user"]
    assert (user["id"], user["status"], user["name"]) == (invited["id"], "active", "Ada Lovelace")
    assert (user["email_verified"], [role["slug"] for role in user["roles"]]) == (True, ["manager"])
    await tenant.sign_in(ADA, NEW)
    (updated,) = await heard.wait(tenant.id, "auth.user.updated")
    assert updated["status"] == "active"
    again = await post(tenant, "/auth/invitations/accept", token=token, password=PASSWORD)
    assert problem(again) == (401, "invalid-mailed-token")


async def test_a_user_without_a_password_is_invited(tenant: Tenant, mailbox: Mailbox) -> None:
    """And does not sign in before joining, nor is let in by an admin's activation."""
    user = (await tenant.ask("POST", "/users", json={"email": ADA, "name": "Ada"})).json()
    assert user["status"] == "invited"
    assert (await post(tenant, "/auth/login", email=ADA, password=PASSWORD)).status_code == 401
    assert problem(await tenant.ask("POST", f"/users/{user['id']}/activate")) == (409, "not-joined")
    assert [it["id"] for it in (await tenant.ask("GET", "/invitations")).json()["items"]] == [user["id"]]
    weak = await post(tenant, "/auth/invitations/accept", token=await mailbox.token(ADA), password="password123")
    assert faults(weak) == {"/password": "too_weak"}
    good = await post(tenant, "/auth/invitations/accept", token=await mailbox.token(ADA), password=NEW)
    assert good.status_code == 200


async def test_an_invitation_is_taken_back(tenant: Tenant, mailbox: Mailbox) -> None:
    """Its link is nothing, and who has joined is no invitation."""
    invited = await invite(tenant)
    token = await mailbox.token(ADA)
    assert (await tenant.ask("DELETE", f"/invitations/{invited['id']}")).status_code == 204
    answer = await post(tenant, "/auth/invitations/accept", token=token, password=NEW)
    assert problem(answer) == (401, "invalid-mailed-token")
    owner = tenant.told["user"]["id"]
    assert (await tenant.ask("DELETE", f"/invitations/{owner}")).status_code == 404
    assert (await tenant.ask("POST", f"/invitations/{owner}/resend")).status_code == 404


async def test_an_invitation_goes_out_again(tenant: Tenant, mailbox: Mailbox, admin: Admin) -> None:
    """At most once a minute; the link from before is worth nothing."""
    path = f"/invitations/{(await invite(tenant))['id']}/resend"
    first = await mailbox.token(ADA)
    assert (await tenant.ask("POST", path)).status_code == 202
    await admin.execute("update mailed_tokens set created_at = created_at - interval '2 minutes'")
    assert (await tenant.ask("POST", path)).status_code == 202
    second = await mailbox.token(ADA, 2)
    answers = [await post(tenant, "/auth/invitations/accept", token=it, password=NEW) for it in (first, second)]
    assert [answer.status_code for answer in answers] == [401, 200]


async def test_nobody_invites_beyond_their_own_grants(tenant: Tenant) -> None:
    """A member invites nobody, an admin no owner."""
    member, admin = await tenant.token_of("member"), await tenant.token_of("admin")
    refused = [
        await tenant.ask("POST", "/invitations", member, json={"email": ADA}),
        await tenant.ask("POST", "/invitations", admin, json={"email": ADA, "roles": ["owner"]}),
    ]
    assert [problem(answer)[1] for answer in refused] == ["forbidden", "beyond-own-grants"]


async def test_a_forgotten_password_is_replaced(tenant: Tenant, mailbox: Mailbox, heard: Heard) -> None:
    """By the link once; every session ends, and the address is confirmed."""
    user = await tenant.add("member", ADA)
    told = await tenant.sign_in(ADA)
    assert (await post(tenant, "/auth/password/forgot", email=ADA.upper())).status_code == 202
    assert (await mailbox.wait(ADA, 2))["Subject"] == "Reset your password for Acme"
    token = await mailbox.token(ADA, 2)
    weak = await post(tenant, "/auth/password/reset", token=token, password="password123")
    assert faults(weak) == {"/password": "too_weak"}
    assert (await post(tenant, "/auth/password/reset", token=token, password=NEW)).status_code == 204
    again = await post(tenant, "/auth/password/reset", token=token, password=NEW)
    assert problem(again) == (401, "invalid-mailed-token")
    assert (await post(tenant, "/auth/login", email=ADA, password=PASSWORD)).status_code == 401
    assert (await tenant.sign_in(ADA, NEW))["user"]["email_verified"] is True
    (revoked,) = await heard.wait(tenant.id, "auth.session.revoked")
    assert (revoked["user_id"], revoked["session_id"]) == (user["id"], None)
    refreshed = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": told["refresh_token"]})
    assert refreshed.status_code == 401


async def test_forgetting_tells_nothing(tenant: Tenant, mailbox: Mailbox) -> None:
    """Known, unknown and deactivated get the same answer; only who may sign in gets a mail."""
    user = await tenant.add("member", ADA)
    await tenant.ask("POST", f"/users/{user['id']}/deactivate")
    addresses = ("nobody@example.com", ADA, tenant.email)
    answers = [await post(tenant, "/auth/password/forgot", email=email) for email in addresses]
    assert [(answer.status_code, answer.text) for answer in answers] == [(202, answers[0].text)] * 3
    await mailbox.wait(tenant.email, 2)
    assert (len(mailbox.of(ADA)), mailbox.of("nobody@example.com")) == (1, [])


async def test_an_address_is_confirmed_by_its_mail(tenant: Tenant, mailbox: Mailbox) -> None:
    """The owner's after the sign-up; and anew when it changes, by the mail to the new one."""
    assert tenant.told["user"]["email_verified"] is False
    first = await mailbox.token(tenant.email)
    await tenant.ask("PATCH", f"/users/{tenant.told['user']['id']}", json={"email": "new@example.com"})
    assert problem(await post(tenant, "/auth/email/verify", token=first)) == (401, "invalid-mailed-token")
    second = await mailbox.token("new@example.com")
    assert (await post(tenant, "/auth/email/verify", token=second)).status_code == 204
    assert (await tenant.ask("GET", "/users/me")).json()["email_verified"] is True
    assert problem(await tenant.ask("POST", "/users/me/email/verification")) == (409, "email-verified")


@pytest.mark.parametrize("path", ["/auth/invitations/accept", "/auth/password/reset", "/auth/email/verify"])
async def test_a_link_is_good_for_its_purpose_and_its_time(
    tenant: Tenant, mailbox: Mailbox, admin: Admin, path: str
) -> None:
    """Made up, for something else, of a refresh, or expired: the same refusal."""
    await invite(tenant)
    await post(tenant, "/auth/password/forgot", email=tenant.email)
    tokens = {
        "/auth/invitations/accept": await mailbox.token(ADA),
        "/auth/email/verify": await mailbox.token(tenant.email, 1),
        "/auth/password/reset": await mailbox.token(tenant.email, 2),
    }
    own = tokens.pop(path)
    await admin.execute("update mailed_tokens set expires_at = now()")
    rest: dict[str, Any] = {} if path == "/auth/email/verify" else {"password": NEW}
    for token in ("", "mot_" + "A" * 64, tenant.told["refresh_token"], own, *tokens.values()):
        answer = await post(tenant, path, token=token, **rest)
        assert problem(answer) == (401, "invalid-mailed-token"), token


async def test_nothing_of_a_mail_is_readable_in_the_database(tenant: Tenant, mailbox: Mailbox, admin: Admin) -> None:
    """Tokens are hashes, and a mail that waits is encrypted; when it has gone, so has its row."""
    token = await mailbox.token(tenant.email)
    kept = await admin.fetchval("select string_agg(row_to_json(t)::text, '') from mailed_tokens t")
    assert token not in kept

    async def gone() -> bool:
        return bool(await admin.fetchval("select count(*) from mails") == 0)

    await eventually(gone)


async def test_one_with_a_second_factor_joins_by_it(tenant: Tenant, mailbox: Mailbox) -> None:
    """Where the organization requires one, accepting leads on to making it."""
    await tenant.ask("PATCH", "/organizations/current", json={"security": {"mfa_required": True}})
    await invite(tenant)
    half = await post(tenant, "/auth/invitations/accept", token=await mailbox.token(ADA), password=NEW)
    assert (half.json()["mfa_required"], half.json()["enrol"]) == (True, True)


async def test_a_link_of_one_tenant_is_nothing_in_another(
    tenant: Tenant, http: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    """The token names its tenant, whatever host it is brought to; the other's user of that address is untouched."""
    other = await sign_up(http)
    await other.add("member", ADA)
    await invite(tenant)
    token = await mailbox.token(ADA, 2)
    await post(other, "/auth/invitations/accept", token=token, password=NEW)
    await other.sign_in(ADA, PASSWORD)

"""Signing in without a password, by a software authenticator."""

from typing import Any

import asyncpg
import pytest

from tests.auth.authenticator import Authenticator, Browser
from tests.auth.support import Tenant, faults, problem

Admin = asyncpg.Connection


@pytest.fixture
async def browser(tenant: Tenant) -> Browser:
    """A browser whose authenticator has a passkey of the owner."""
    browser = Browser(tenant)
    made = await browser.register()
    assert made.status_code == 201, made.text
    return browser


async def test_a_passkey_signs_in_by_two_factors(browser: Browser) -> None:
    """Without a password and without naming an account; the session says that it is of two factors."""
    tenant = browser.tenant
    signed_in = await browser.sign_in()
    assert signed_in.status_code == 200, signed_in.text
    assert signed_in.json()["user"]["id"] == tenant.told["user"]["id"]
    sessions = (await tenant.ask("GET", "/sessions", signed_in.json()["access_token"])).json()["items"]
    assert next(it["mfa"] for it in sessions if it["current"]) is True
    (listed,) = (await tenant.ask("GET", "/passkeys")).json()["items"]
    assert (listed["name"], listed["host"], listed["synced"]) == ("Laptop", "acme.example.com", False)
    assert listed["last_used_at"] is not None


async def test_it_satisfies_a_required_second_factor(browser: Browser) -> None:
    """Where the organization requires one, a passkey is one."""
    await browser.tenant.ask("PATCH", "/organizations/current", json={"security": {"mfa_required": True}})
    told = (await browser.sign_in()).json()
    refreshed = await browser.tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": told["refresh_token"]})
    assert refreshed.status_code == 200


async def test_an_answer_is_good_once(browser: Browser) -> None:
    """Recorded and played again it is nothing."""
    answer = await browser.answer()
    assert (await browser.ask("/auth/passkeys/verify", answer)).status_code == 200
    assert problem(await browser.ask("/auth/passkeys/verify", answer)) == (401, "invalid-passkey")


async def test_an_answer_of_another_place_is_nothing(browser: Browser) -> None:
    """A page elsewhere that passes everything on gets nothing out of it, whatever host it names."""
    asked = (await browser.ask("/auth/passkeys/options")).json()
    stolen = browser.authenticator.get(asked["options"], "https://acme.example.com.evil.example")
    answer = await browser.ask("/auth/passkeys/verify", {"token": asked["token"], "credential": stolen})
    assert problem(answer) == (401, "invalid-passkey")
    elsewhere = Browser(browser.tenant, browser.authenticator, host="evil.example")
    assert problem(await elsewhere.sign_in()) == (401, "invalid-passkey")


@pytest.mark.parametrize("spoil", ["signature", "authenticatorData", "clientDataJSON", "id", "shape"])
async def test_a_spoilt_answer_is_refused(browser: Browser, spoil: str) -> None:
    """Whatever is wrong with it, the answer is the same."""
    given = await browser.answer()
    credential: dict[str, Any] = given["credential"]
    if spoil == "shape":
        given["credential"] = {"response": []}
    elif spoil == "id":
        credential["id"] = credential["rawId"] = "A" * 43
    else:
        text = credential["response"][spoil]
        credential["response"][spoil] = text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
    assert problem(await browser.ask("/auth/passkeys/verify", given)) == (401, "invalid-passkey")


async def test_a_cloned_authenticator_is_noticed(browser: Browser) -> None:
    """A counter that does not grow tells of a copy."""
    browser.authenticator.count = 7
    assert (await browser.sign_in()).status_code == 200
    browser.authenticator.count = 3
    assert problem(await browser.sign_in()) == (401, "invalid-passkey")


async def test_the_authenticator_must_verify_its_user(tenant: Tenant) -> None:
    """One that only notices a touch is one factor, and is not taken."""
    browser = Browser(tenant, Authenticator(verifies=False))
    assert faults(await browser.register()) == {"/credential": "invalid"}


async def test_a_challenge_belongs_to_who_asked_for_it(browser: Browser, admin: Admin) -> None:
    """Another user's or an expired one registers nothing, nor does one for signing in."""
    tenant = browser.tenant
    mine = tenant.told["access_token"]
    asked = (await browser.ask("/passkeys/options", token=mine)).json()
    fresh = Authenticator()
    body = {"token": asked["token"], "credential": fresh.create(asked["options"], browser.origin)}
    theirs = await browser.ask("/passkeys", body, await tenant.token_of("member"))
    assert problem(theirs) == (401, "invalid-passkey")
    await admin.execute("update passkey_challenges set expires_at = now()")
    assert problem(await browser.ask("/passkeys", body, mine)) == (401, "invalid-passkey")
    for_sign_in = (await browser.ask("/auth/passkeys/options")).json()["token"]
    answer = await browser.ask("/passkeys", body | {"token": for_sign_in}, mine)
    assert problem(answer) == (401, "invalid-passkey")


async def test_a_removed_passkey_signs_nobody_in(browser: Browser) -> None:
    """Renamed it still does; registering it twice is refused."""
    tenant = browser.tenant
    (passkey,) = (await tenant.ask("GET", "/passkeys")).json()["items"]
    renamed = await tenant.ask("PATCH", f"/passkeys/{passkey['id']}", json={"name": "Old laptop"})
    assert renamed.json()["name"] == "Old laptop"
    assert problem(await browser.register()) == (409, "passkey-exists")
    assert (await browser.sign_in()).status_code == 200
    assert (await tenant.ask("DELETE", f"/passkeys/{passkey['id']}")).status_code == 204
    assert problem(await browser.sign_in()) == (401, "invalid-passkey")


async def test_a_deactivated_users_passkey_signs_nobody_in(tenant: Tenant) -> None:
    """As their password does not."""
    user = await tenant.add("member")
    browser = Browser(tenant)
    await browser.register((await tenant.sign_in(user["email"]))["access_token"])
    await tenant.ask("POST", f"/users/{user['id']}/deactivate")
    assert problem(await browser.sign_in()) == (401, "invalid-passkey")


async def test_passkeys_of_others_are_not_there(browser: Browser, other: Tenant) -> None:
    """Not in another tenant, and not for another user of the same."""
    (passkey,) = (await browser.tenant.ask("GET", "/passkeys")).json()["items"]
    member = await browser.tenant.token_of("member")
    path = f"/passkeys/{passkey['id']}"
    for tenant, token in ((browser.tenant, member), (other, None)):
        assert (await tenant.ask("GET", "/passkeys", token)).json()["items"] == []
        assert (await tenant.ask("DELETE", path, token)).status_code == 404
        assert (await tenant.ask("PATCH", path, token, json={"name": "Mine"})).status_code == 404
    stranger = Browser(other, browser.authenticator)
    assert problem(await stranger.sign_in()) == (401, "invalid-passkey")


async def test_an_address_is_no_host_for_passkeys(tenant: Tenant) -> None:
    """Browsers bind passkeys to names."""
    browser = Browser(tenant, host="127.0.0.1:8000")
    answer = await browser.ask("/passkeys/options", token=tenant.told["access_token"])
    assert faults(answer) == {"/host": "not_a_domain"}

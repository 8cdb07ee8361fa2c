"""Changing one's password, and guessing another's."""

import httpx
import pytest

from tests.auth.support import PASSWORD, Heard, Tenant, faults, problem

NEW = "lemur quartz bicycle 41"


async def change(tenant: Tenant, token: str, current: str = PASSWORD, new: str = NEW) -> httpx.Response:
    """The answer to a change of the password."""
    body = {"current_password": current, "new_password": new}
    return await tenant.ask("POST", "/users/me/password", token, json=body)


async def login(tenant: Tenant, email: str, password: str, address: str = "203.0.113.7") -> httpx.Response:
    """A sign-in from an address."""
    headers = {"x-millrace-tenant": str(tenant.id), "x-forwarded-for": address}
    body = {"email": email, "password": password}
    return await tenant.http.post("/api/v1/auth/login", json=body, headers=headers)


async def test_a_changed_password_ends_the_other_sessions(tenant: Tenant, heard: Heard) -> None:
    """The old one is worth nothing, the new one is good, and only the session that changed it goes on."""
    user = await tenant.add("member")
    here, there = await tenant.sign_in(user["email"]), await tenant.sign_in(user["email"])
    assert (await change(tenant, here["access_token"])).status_code == 204
    assert (await login(tenant, user["email"], PASSWORD)).status_code == 401
    assert (await login(tenant, user["email"], NEW)).status_code == 200
    (revoked,) = await heard.wait(tenant.id, "auth.session.revoked")
    assert revoked["session_id"] is not None
    answers = [
        (await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": it["refresh_token"]})).status_code
        for it in (here, there)
    ]
    assert answers == [200, 401]


async def test_the_current_password_is_asked_for(tenant: Tenant) -> None:
    """A stolen token alone changes no password, and guessing with it is slowed down."""
    token = await tenant.token_of("member")
    for _ in range(6):
        assert faults(await change(tenant, token, current="wrong password")) == {"/current_password": "wrong"}
    answer = await change(tenant, token, current="wrong password")
    assert problem(answer) == (429, "too-many-attempts")


async def test_a_new_password_must_be_a_good_one(tenant: Tenant) -> None:
    """Neither short, nor soon guessed, nor about the person."""
    user = await tenant.add("member", "bellerophontis@example.com")
    token = (await tenant.sign_in(user["email"]))["access_token"]
    answers = [faults(await change(tenant, token, new=new)) for new in ("short", "password123", "bellerophontis")]
    assert answers == [
        {"/new_password": "too_short"}, {"/new_password": "too_weak"}, {"/new_password": "too_weak"},
    ]  # fmt: skip


async def test_a_key_has_no_password(tenant: Tenant) -> None:
    """What is exchanged for a key changes none."""
    made = (await tenant.ask("POST", "/api-keys", json={"name": "K", "roles": ["owner"]})).json()
    exchanged = await tenant.http.post("/internal/api-keys/exchange", json={"key": made["key"]})
    assert problem(await change(tenant, exchanged.json()["access_token"])) == (403, "people-only")


@pytest.mark.parametrize("email", ["{owner}", "nobody@example.com"])
async def test_guessing_is_slowed_down_alike_for_known_and_unknown_accounts(tenant: Tenant, email: str) -> None:
    """After five failures one waits, whether or not there is such an account; even with the right password."""
    account = email.format(owner=tenant.email)
    codes = [(await login(tenant, account, "wrong password")).status_code for _ in range(8)]
    assert codes == [401] * 6 + [429] * 2
    answer = await login(tenant, account.upper(), PASSWORD)
    assert problem(answer) == (429, "too-many-attempts")
    assert 1 <= int(answer.headers["retry-after"]) <= 2


async def test_the_owner_of_a_guessed_account_signs_in_from_elsewhere(tenant: Tenant) -> None:
    """One address that guesses does not lock the person out at another."""
    for _ in range(7):
        await login(tenant, tenant.email, "wrong password")
    assert (await login(tenant, tenant.email, PASSWORD, "198.51.100.4")).status_code == 200


async def test_a_success_forgets_the_failures_before(tenant: Tenant) -> None:
    """People who mistype now and then never wait."""
    for _ in range(4):
        codes = [(await login(tenant, tenant.email, "wrong password")).status_code for _ in range(4)]
        assert codes == [401] * 4
        assert (await login(tenant, tenant.email, PASSWORD)).status_code == 200

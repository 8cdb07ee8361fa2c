"""Signing in with a second factor."""

import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pyotp
import pytest

from tests.auth.support import PASSWORD, Heard, Tenant, faults, problem

Admin = asyncpg.Connection


@dataclass
class Authenticator:
    """An authenticator app: it shows codes of one secret, and, so that no test waits, of the time to come."""

    secret: str
    _used: int = field(default=0)

    def code(self) -> str:
        """A code that is good now and was not shown before; there are two at least."""
        present = int(time.time()) // 30
        step = max(present - 1, self._used + 1)
        assert step <= present + 1, "codes of three steps are good at a time"
        self._used = step
        return pyotp.TOTP(self.secret).generate_otp(step)


@dataclass
class Person:
    """A member with a second factor."""

    tenant: Tenant
    email: str
    id: str
    token: str
    app: Authenticator
    recovery_codes: list[str]

    async def begin(self) -> dict[str, Any]:
        """The answer to a right password."""
        return await self.tenant.sign_in(self.email)

    async def verify(self, code: str, mfa_token: str | None = None) -> httpx.Response:
        """Ends a sign-in, one just begun unless another is given."""
        token = mfa_token or (await self.begin())["mfa_token"]
        return await self.tenant.anonymous("/auth/mfa/verify", {"mfa_token": token, "code": code})


@pytest.fixture
async def person(tenant: Tenant) -> Person:
    """A member who has enrolled."""
    user = await tenant.add("member")
    token = (await tenant.sign_in(user["email"]))["access_token"]
    app = Authenticator((await tenant.ask("POST", "/mfa/totp", token)).json()["secret"])
    confirmed = await tenant.ask("POST", "/mfa/totp/confirm", token, json={"code": app.code()})
    assert confirmed.status_code == 200, confirmed.text
    return Person(tenant, user["email"], user["id"], token, app, confirmed.json()["recovery_codes"])


async def test_a_secret_comes_in_three_forms(tenant: Tenant) -> None:
    """To type, to follow, and as a picture; it counts only when confirmed."""
    token = await tenant.token_of("member")
    told = (await tenant.ask("POST", "/mfa/totp", token)).json()
    parsed = pyotp.parse_uri(told["otpauth_uri"])
    assert (parsed.secret, parsed.issuer) == (told["secret"], "Acme")
    assert told["qr_svg"].startswith("<svg")
    state = (await tenant.ask("GET", "/mfa", token)).json()
    assert state == {"enabled": False, "confirmed_at": None, "recovery_codes_left": 0, "required": False}


async def test_a_right_password_is_half_a_sign_in(person: Person) -> None:
    """The answer has no tokens but a token to give a code with; the code ends it, and the session says so."""
    half = await person.begin()
    assert half.keys() == {"mfa_required", "mfa_token", "methods", "enrol"}
    assert (half["mfa_required"], half["methods"], half["enrol"]) == (True, ["totp", "recovery_code"], False)
    whole = (await person.verify(person.app.code(), half["mfa_token"])).json()
    assert whole["user"]["id"] == person.id
    assert "recovery_codes" not in whole
    sessions = (await person.tenant.ask("GET", "/sessions", whole["access_token"])).json()["items"]
    assert {it["current"]: it["mfa"] for it in sessions} == {True: True, False: True}


async def test_the_half_is_no_token(person: Person) -> None:
    """What a right password gives opens nothing, refreshes nothing, and is good once."""
    half = (await person.begin())["mfa_token"]
    assert (await person.tenant.ask("GET", "/users/me", half)).status_code == 401
    refreshed = await person.tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": half})
    assert problem(refreshed) == (401, "invalid-refresh-token")
    assert (await person.verify(person.app.code(), half)).status_code == 200
    assert problem(await person.verify("000000", half)) == (401, "invalid-mfa-token")


@pytest.mark.parametrize("token", ["", "mmt_", "mmt_" + "A" * 64, "mrt_" + "A" * 64])
async def test_what_is_no_half_is_refused(person: Person, token: str) -> None:
    """Malformed, unknown and foreign tokens get the same answer."""
    body = {"mfa_token": token or "x", "code": "123456"}
    answer = await person.tenant.anonymous("/auth/mfa/verify", body)
    assert problem(answer) == (401, "invalid-mfa-token")
    assert (await person.tenant.anonymous("/auth/mfa/enroll", {"mfa_token": body["mfa_token"]})).status_code == 401


async def test_a_half_expires(person: Person, admin: Admin) -> None:
    """After five minutes one begins again."""
    half = (await person.begin())["mfa_token"]
    await admin.execute("update mfa_challenges set expires_at = now()")
    assert problem(await person.verify(person.app.code(), half)) == (401, "invalid-mfa-token")


async def test_a_code_is_good_once(person: Person) -> None:
    """Seen over a shoulder it is worth nothing, and neither are those before it."""
    code = person.app.code()
    assert (await person.verify(code)).status_code == 200
    assert problem(await person.verify(code)) == (401, "invalid-code")
    earlier = pyotp.TOTP(person.app.secret).at(time.time() - 30)
    assert problem(await person.verify(earlier)) == (401, "invalid-code")


async def test_a_recovery_code_is_good_once(person: Person, admin: Admin) -> None:
    """However it is written; what is kept of it is a hash."""
    assert len(set(person.recovery_codes)) == 10
    code = person.recovery_codes[3]
    assert (await person.verify(f" {code.upper().replace('-', ' ')}")).status_code == 200
    assert problem(await person.verify(code)) == (401, "invalid-code")
    assert (await person.tenant.ask("GET", "/mfa", person.token)).json()["recovery_codes_left"] == 9
    assert code.replace("-", "").encode() not in await admin.fetchval("select hash from recovery_codes limit 1")


async def test_codes_cannot_be_guessed(person: Person) -> None:
    """After five wrong ones even the right one has to wait, whichever sign-in it is given for."""
    codes = [(await person.verify("000000")).status_code for _ in range(7)]
    assert codes == [401] * 6 + [429]
    assert problem(await person.verify(person.app.code())) == (429, "too-many-attempts")


async def test_confirming_ends_the_other_sessions(tenant: Tenant, heard: Heard) -> None:
    """Whoever was signed in with the password alone is out; the one who confirmed goes on."""
    user = await tenant.add("member")
    other, mine = await tenant.sign_in(user["email"]), await tenant.sign_in(user["email"])
    app = Authenticator((await tenant.ask("POST", "/mfa/totp", mine["access_token"])).json()["secret"])
    wrong = await tenant.ask("POST", "/mfa/totp/confirm", mine["access_token"], json={"code": "000000"})
    assert faults(wrong) == {"/code": "wrong"}
    await tenant.ask("POST", "/mfa/totp/confirm", mine["access_token"], json={"code": app.code()})
    assert len(await heard.wait(tenant.id, "auth.session.revoked")) == 1
    answers = [
        (await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": it["refresh_token"]})).status_code
        for it in (other, mine)
    ]
    assert answers == [401, 200]


async def test_a_confirmed_secret_is_not_replaced(person: Person) -> None:
    """It takes removing it first, and that takes a code: a stolen token does neither."""
    ask = person.tenant.ask
    assert problem(await ask("POST", "/mfa/totp", person.token)) == (409, "mfa-enabled")
    assert faults(await ask("DELETE", "/mfa/totp", person.token, json={"code": "000000"})) == {"/code": "wrong"}
    assert faults(await ask("DELETE", "/mfa/totp", person.token, json={})) == {"/code": "required"}
    removed = await ask("DELETE", "/mfa/totp", person.token, json={"code": person.recovery_codes[0]})
    assert removed.status_code == 204
    assert "access_token" in await person.begin()
    assert problem(await ask("DELETE", "/mfa/totp", person.token, json={"code": "1"})) == (409, "mfa-not-enabled")


async def test_other_recovery_codes_replace_those_before(person: Person) -> None:
    """For a code of the authenticator."""
    answer = await person.tenant.ask("POST", "/mfa/recovery-codes", person.token, json={"code": person.app.code()})
    fresh = answer.json()["recovery_codes"]
    assert problem(await person.verify(person.recovery_codes[0])) == (401, "invalid-code")
    assert (await person.verify(fresh[0])).status_code == 200


async def test_secrets_are_encrypted_at_rest(person: Person, admin: Admin) -> None:
    """The database alone does not make codes."""
    kept = await admin.fetchval("select secret from totp_secrets")
    assert person.app.secret.encode() not in kept


async def test_an_admin_helps_who_lost_device_and_codes(person: Person, heard: Heard) -> None:
    """Not a member, not for oneself, and not for one who may do more."""
    tenant = person.tenant
    member, admin = await tenant.token_of("member"), await tenant.token_of("admin")
    path = f"/users/{person.id}/mfa"
    assert problem(await tenant.ask("DELETE", path, member)) == (403, "forbidden")
    owner = f"/users/{tenant.told['user']['id']}/mfa"
    assert problem(await tenant.ask("DELETE", owner, admin)) == (403, "beyond-own-grants")
    assert problem(await tenant.ask("DELETE", owner)) == (403, "own-second-factor")
    assert (await tenant.ask("DELETE", path, admin)).status_code == 204
    revoked = (await heard.wait(tenant.id, "auth.session.revoked"))[-1]
    assert (revoked["user_id"], revoked["session_id"]) == (person.id, None)
    assert "access_token" in await person.begin()


async def test_an_organization_requires_a_second_factor(tenant: Tenant) -> None:
    """Who has none makes one in the middle of signing in; sessions from before it end at their next refresh."""
    user = await tenant.add("member")
    before = await tenant.sign_in(user["email"])
    changed = await tenant.ask("PATCH", "/organizations/current", json={"security": {"mfa_required": True}})
    assert changed.json()["security"] == {"mfa_required": True}
    refreshed = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": before["refresh_token"]})
    assert problem(refreshed) == (401, "invalid-refresh-token")
    half = await tenant.sign_in(user["email"])
    assert (half["enrol"], half["methods"]) == (True, ["totp"])
    token = half["mfa_token"]
    early = await tenant.anonymous("/auth/mfa/verify", {"mfa_token": token, "code": "123456"})
    assert problem(early) == (409, "mfa-not-begun")
    app = Authenticator((await tenant.anonymous("/auth/mfa/enroll", {"mfa_token": token})).json()["secret"])
    whole = await tenant.anonymous("/auth/mfa/verify", {"mfa_token": token, "code": app.code()})
    assert (whole.status_code, len(whole.json()["recovery_codes"])) == (200, 10)
    access = whole.json()["access_token"]
    kept = await tenant.ask("DELETE", "/mfa/totp", access, json={"code": app.code()})
    assert problem(kept) == (409, "mfa-required")
    again = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": whole.json()["refresh_token"]})
    assert again.status_code == 200


async def test_what_began_with_one_factor_ends_when_two_are_required(person: Person, heard: Heard) -> None:
    """Tokens and sockets that are out already are announced to end, those of two factors are not; and only once."""
    tenant = person.tenant
    two = (await person.verify(person.app.code())).json()
    single = await tenant.sign_in((await tenant.add("member"))["email"])
    body: dict[str, Any] = {"security": {"mfa_required": True}}
    mine = (await tenant.ask("GET", "/sessions")).json()["items"]
    for _ in range(2):
        assert (await tenant.ask("PATCH", "/organizations/current", json=body)).status_code == 200
    ended = await heard.wait(tenant.id, "auth.session.revoked", 2)
    assert {it["user_id"] for it in ended} == {tenant.told["user"]["id"], single["user"]["id"]}
    assert {it["id"] for it in mine} >= {it["session_id"] for it in ended if it["user_id"] != single["user"]["id"]}
    again = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": two["refresh_token"]})
    assert again.status_code == 200


async def test_who_has_one_cannot_make_another_by_the_password_alone(person: Person) -> None:
    """The token of a half sign-in enrols nothing where there is a second factor."""
    half = await person.begin()
    answer = await person.tenant.anonymous("/auth/mfa/enroll", {"mfa_token": half["mfa_token"]})
    assert problem(answer) == (409, "mfa-enabled")


async def test_the_security_policy_takes_managing_the_organization(tenant: Tenant) -> None:
    """Who may only change its name does not change who gets in how."""
    grants = [{"resource": "organization", "actions": ["read", "update"]}]
    role = (await tenant.ask("POST", "/roles", json={"name": "Clerk", "grants": grants})).json()
    person = {"email": "clerk@example.com", "name": "C", "password": PASSWORD, "roles": [role["id"]]}
    await tenant.ask("POST", "/users", json=person)
    token = (await tenant.sign_in("clerk@example.com"))["access_token"]
    body: dict[str, Any] = {"security": {"mfa_required": True}}
    assert problem(await tenant.ask("PATCH", "/organizations/current", token, json=body)) == (403, "forbidden")
    assert (await tenant.ask("PATCH", "/organizations/current", token, json={"name": "B"})).status_code == 200

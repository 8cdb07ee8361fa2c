"""Signing in by OpenID Connect, at a provider that is another's program in a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest

from services.auth.main import build
from services.auth.settings import Settings
from tests.auth.browser import Browser
from tests.auth.support import Mailbox, Tenant, faults, problem, settings, sign_up
from tests.support.asgi import running
from tests.support.openid import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, provider
from tests.support.postgres import Database
from tests.support.waiting import eventually

Admin = asyncpg.Connection


@pytest.fixture(scope="module")
def openid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    """The provider of this module's tests."""
    with provider(tmp_path_factory.mktemp("openid")) as running_provider:
        yield running_provider


@pytest.fixture
def auth_settings(database: Database, nats_url: str, redis_url: str, mailbox: Mailbox) -> Settings:
    """Settings that allow a provider on loopback."""
    return settings(
        database, nats_url, redis_url, mail_directory=str(mailbox.directory), outward_private_addresses=True
    )


def given(openid: OpenIdProvider, tenant: Tenant, **changes: Any) -> dict[str, Any]:
    """A provider as the API takes it."""
    return {
        "name": "Head office", "issuer": openid.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "email_domains": [f"{tenant.slug}.example.com"], "provision": True, **changes,
    }  # fmt: skip


async def add(openid: OpenIdProvider, tenant: Tenant, token: str | None = None, **changes: Any) -> Browser:
    """Sets a provider up, and gives a browser that will go there."""
    answer = await tenant.ask("POST", "/sso/providers", token, json=given(openid, tenant, **changes))
    assert answer.status_code == 201, answer.text
    return Browser(tenant, answer.json()["id"])


@pytest.fixture
async def acme(tenant: Tenant, admin: Admin) -> Tenant:
    """A tenant that has proven a domain."""
    await admin.execute(
        "insert into domains (tenant_id, host) values ($1, $2)", tenant.id, f"{tenant.slug}.example.com"
    )
    return tenant


@pytest.fixture
async def browser(openid: OpenIdProvider, acme: Tenant) -> Browser:
    """A browser of a tenant with a provider."""
    return await add(openid, acme)


def someone(openid: OpenIdProvider, tenant: Tenant, name: str = "ann", **claims: Any) -> str:
    """Sits a person at the browser, whose address the provider has verified; tells the address."""
    email = f"{name}@{tenant.slug}.example.com"
    openid.be(f"{name}-{tenant.slug}", **{"email": email, "email_verified": True, "name": name.title(), **claims})
    return email


async def test_who_has_no_account_gets_one(openid: OpenIdProvider, browser: Browser) -> None:
    """With the default roles, a verified address and a session; the next sign-in is the same account."""
    email = someone(openid, browser.tenant)
    told = (await browser.sign_in(openid)).json()
    user = told["user"]
    assert (user["email"], user["name"], user["status"], user["email_verified"]) == (email, "Ann", "active", True)
    assert [role["slug"] for role in user["roles"]] == ["member"]
    assert (await browser.tenant.ask("GET", "/users/me", told["access_token"])).json()["id"] == user["id"]
    someone(openid, browser.tenant, email=f"ann.new@{browser.tenant.slug}.example.com")
    assert (await browser.sign_in(openid)).json()["user"]["id"] == user["id"]


async def test_a_page_fetches_its_tokens(openid: OpenIdProvider, browser: Browser) -> None:
    """In the browser that began it, once; a fragment that somebody else sent signs nobody in."""
    someone(openid, browser.tenant)
    returned = await browser.sign_in(openid, return_to="/deals?tab=1")
    assert returned.status_code == 303
    path, _, token = returned.headers["location"].partition("#sso_token=")
    assert path == "/deals?tab=1"
    other = Browser(browser.tenant, browser.provider_id)
    await other.depart()
    assert problem(await other.fetch(token)) == (401, "sso-refused")
    assert (await browser.fetch(token)).json()["user"]["name"] == "Ann"
    assert problem(await browser.fetch(token)) == (401, "sso-refused")


async def test_the_cookie_is_of_this_host_only(browser: Browser) -> None:
    """Not readable by scripts, only over TLS, not set by other hosts, not sent along by the forms of other sites."""
    cookie = (await browser.depart()).headers["set-cookie"].lower()
    assert cookie.startswith("__host-millrace-sso=")
    assert {"path=/", "httponly", "secure", "samesite=lax"} <= {part.strip() for part in cookie.split(";")}
    assert "domain=" not in cookie


async def test_an_answer_is_good_once_and_in_its_browser(openid: OpenIdProvider, browser: Browser) -> None:
    """Another browser, another provider, another tenant, and a second time: all the same refusal."""
    someone(openid, browser.tenant)
    told = await openid.answer((await browser.depart()).headers["location"])
    thief = Browser(browser.tenant, browser.provider_id, {"__Host-millrace-sso": "x" * 43})
    assert problem(await thief.arrive(told)) == (401, "sso-refused")
    second = await add(openid, browser.tenant, name="Second")
    second.cookies = dict(browser.cookies)
    assert problem(await second.arrive(told)) == (401, "sso-refused")
    stranger = await sign_up(browser.tenant.http)
    elsewhere = Browser(stranger, browser.provider_id, dict(browser.cookies))
    assert problem(await elsewhere.arrive(told)) == (401, "sso-refused")
    assert (await browser.arrive(told)).status_code == 200
    assert problem(await browser.arrive(told)) == (401, "sso-refused")


async def test_a_code_of_another_sign_in_is_nothing(openid: OpenIdProvider, browser: Browser) -> None:
    """A stolen code in one's own sign-in: the provider has another verifier for it, and the token another nonce."""
    someone(openid, browser.tenant, "victim")
    stolen = await openid.answer((await browser.depart()).headers["location"])
    mine = Browser(browser.tenant, browser.provider_id)
    own = parse_qs(urlsplit((await mine.depart()).headers["location"]).query)
    mixed = httpx.QueryParams({"state": own["state"][0], "code": stolen["code"]})
    assert problem(await mine.arrive(mixed)) == (401, "sso-refused")


async def test_an_answer_of_another_issuer_is_refused(openid: OpenIdProvider, browser: Browser) -> None:
    """The `iss` of a redirect tells providers apart (RFC 9207)."""
    someone(openid, browser.tenant)
    told = await openid.answer((await browser.depart()).headers["location"])
    assert problem(await browser.arrive(told.set("iss", "https://evil.example"))) == (401, "sso-refused")


TARGETS = (
    "https://evil.example", "//evil.example", "/\\evil.example", "\\/evil.example", "javascript:alert(1)", "deals",
    "/%0d%0aset-cookie:a=b\r\n", " /x", "",
)  # fmt: skip


async def test_nobody_is_sent_elsewhere(browser: Browser) -> None:
    """What is returned to is a path of the same host."""
    for target in TARGETS:
        assert faults(await browser.depart(target)) == {"/return_to": "not_a_path"}, target


async def test_it_begins_at_the_organizations_own_hosts(openid: OpenIdProvider, browser: Browser) -> None:
    """So the address that the provider sends codes to is always one of them; a proven domain is one."""
    for host in ("evil.example", "other.localhost", "localhost"):
        assert problem(await browser.depart(host=host)) == (403, "foreign-host")
    own = await browser.depart(host=f"{browser.tenant.slug}.example.com")
    uri = parse_qs(urlsplit(own.headers["location"]).query)["redirect_uri"][0]
    assert uri == f"https://{browser.tenant.slug}.example.com/api/v1/auth/sso/{browser.provider_id}/callback"


NOT_VOUCHED_FOR: tuple[tuple[dict[str, Any], str], ...] = (
    ({"email_verified": False}, "sso-email-not-verified"),
    ({"email_verified": "true"}, "sso-email-not-verified"),
    ({"email": None}, "sso-email-not-verified"),
    ({"email": "ann@elsewhere.example"}, "sso-domain"),
    ({"email": "ann@sub.{slug}.example.com"}, "sso-domain"),
)


async def test_only_verified_addresses_of_its_domains_count(openid: OpenIdProvider, browser: Browser) -> None:
    """A provider speaks for its domains only, and only of addresses that it has verified."""
    for claims, code in NOT_VOUCHED_FOR:
        slug = browser.tenant.slug
        filled = {name: it.format(slug=slug) if isinstance(it, str) else it for name, it in claims.items()}
        someone(openid, browser.tenant, **filled)
        assert problem(await browser.sign_in(openid)) == (401, code)
        returned = await browser.sign_in(openid, return_to="/")
        assert returned.headers["location"] == f"/#sso_error={code}"


async def test_an_account_is_not_taken_over(openid: OpenIdProvider, browser: Browser, admin: Admin) -> None:
    """One whose address nobody has confirmed may be another's; a deactivated one stays so."""
    tenant = browser.tenant
    known = await tenant.add("member", someone(openid, tenant))
    assert problem(await browser.sign_in(openid)) == (401, "sso-account-not-verified")
    await admin.execute("update users set email_verified_at = now() where email = $1", known["email"])
    assert (await browser.sign_in(openid)).json()["user"]["id"] == known["id"]
    await tenant.ask("POST", f"/users/{known['id']}/deactivate")
    assert problem(await browser.sign_in(openid)) == (401, "sso-refused")


async def test_who_is_invited_joins(openid: OpenIdProvider, acme: Tenant) -> None:
    """Also where nobody else gets an account."""
    browser = await add(openid, acme, provision=False)
    email = someone(openid, acme)
    assert problem(await browser.sign_in(openid)) == (401, "sso-unknown-user")
    await acme.ask("POST", "/users", json={"email": email, "name": "Ann", "roles": ["viewer"]})
    user = (await browser.sign_in(openid)).json()["user"]
    assert (user["status"], [role["slug"] for role in user["roles"]]) == ("active", ["viewer"])


async def test_mapped_roles_come_and_go(openid: OpenIdProvider, acme: Tenant) -> None:
    """With the claim; roles that the mapping does not name stay."""
    browser = await add(openid, acme, role_claim="groups", role_mapping={"sales": "manager", "it": "admin"})
    someone(openid, acme, groups=["sales", "it", "other", 7])
    roles = [role["slug"] for role in (await browser.sign_in(openid)).json()["user"]["roles"]]
    assert sorted(roles) == ["admin", "manager", "member"]
    someone(openid, acme, groups="sales")
    roles = [role["slug"] for role in (await browser.sign_in(openid)).json()["user"]["roles"]]
    assert sorted(roles) == ["manager", "member"]


async def test_subjects_are_of_their_issuer(openid: OpenIdProvider, browser: Browser, acme: Tenant) -> None:
    """Who has the subject that somebody else had at the issuer before does not come in as them."""
    ann = someone(openid, acme)
    assert (await browser.sign_in(openid)).json()["user"]["email"] == ann
    path = f"/sso/providers/{browser.provider_id}"
    away = {"issuer": "https://elsewhere.example.com", "enabled": False}
    back = {"issuer": openid.issuer, "client_secret": CLIENT_SECRET, "enabled": True}
    for change in (away, back):
        answer = await acme.ask("PATCH", path, json=change)
        assert answer.status_code == 200, answer.text
    bob = f"bob@{acme.slug}.example.com"
    someone(openid, acme, email=bob)
    assert (await browser.sign_in(openid)).json()["user"]["email"] == bob


async def test_keys_end_with_the_roles_that_the_claim_takes(openid: OpenIdProvider, acme: Tenant) -> None:
    """An API key that somebody made with a mapped role does not outlive the role, and others of theirs do."""
    browser = await add(openid, acme, role_claim="groups", role_mapping={"it": "admin"})
    someone(openid, acme, groups=["it"])
    token = (await browser.sign_in(openid)).json()["access_token"]
    keys = {
        role: (await acme.ask("POST", "/api-keys", token, json={"name": role, "roles": [role]})).json()["id"]
        for role in ("admin", "member")
    }
    someone(openid, acme, groups=[])
    token = (await browser.sign_in(openid)).json()["access_token"]
    left = (await acme.ask("GET", "/api-keys", token)).json()["items"]
    assert [key["id"] for key in left] == [keys["member"]]


async def test_nobody_comes_in_above_who_set_it_up(openid: OpenIdProvider, acme: Tenant, admin: Admin) -> None:
    """An admin's provider gives no owner's rights, and does not vouch for an owner either."""
    admins = await acme.token_of("admin")
    body = given(openid, acme, default_roles=["owner"])
    assert problem(await acme.ask("POST", "/sso/providers", admins, json=body)) == (403, "beyond-own-grants")
    browser = await add(openid, acme, admins)
    await admin.execute("update users set email_verified_at = now() where email = $1", acme.email)
    openid.be("owner", email=acme.email.replace(acme.slug, acme.slug), email_verified=True)
    assert problem(await browser.sign_in(openid)) == (401, "sso-beyond-provider")
    await acme.ask("PATCH", f"/sso/providers/{browser.provider_id}", json={"name": "Vouched for by the owner"})
    assert (await browser.sign_in(openid)).json()["user"]["id"] == acme.told["user"]["id"]


async def test_a_required_second_factor_is_asked_for(openid: OpenIdProvider, acme: Tenant) -> None:
    """Unless the provider is trusted with it, and says that there was one."""
    browser = await add(openid, acme)
    trusted = await add(openid, acme, name="Trusted", trusts_mfa=True)
    someone(openid, acme, amr=["pwd"])
    await browser.sign_in(openid)
    await acme.ask("PATCH", "/organizations/current", json={"security": {"mfa_required": True}})
    someone(openid, acme, amr=["pwd", "mfa"])
    assert (await browser.sign_in(openid)).json()["mfa_required"] is True
    assert "access_token" in (await trusted.sign_in(openid)).json()
    someone(openid, acme, amr=["pwd"])
    assert (await trusted.sign_in(openid)).json()["mfa_required"] is True


async def test_a_disabled_or_foreign_provider_is_not_there(openid: OpenIdProvider, browser: Browser) -> None:
    """Nor is one whose domain the organization gave up."""
    tenant = browser.tenant
    (offered,) = (await browser.get("/auth/sso")).json()["items"]
    assert offered["authorize"] == f"/api/v1/auth/sso/{browser.provider_id}/authorize"
    stranger = await sign_up(tenant.http)
    assert problem(await Browser(stranger, browser.provider_id).depart()) == (404, "provider-not-found")
    assert problem(await Browser(tenant, str(uuid4())).depart()) == (404, "provider-not-found")
    someone(openid, tenant)
    assert (await browser.sign_in(openid)).status_code == 200
    await tenant.ask("DELETE", f"/organizations/current/domains/{tenant.slug}.example.com")
    assert problem(await browser.sign_in(openid)) == (401, "sso-domain")
    path = f"/sso/providers/{browser.provider_id}"
    assert (await tenant.ask("DELETE", path)).status_code == 204
    assert (await browser.get("/auth/sso")).json()["items"] == []


async def test_who_declines_is_told(openid: OpenIdProvider, browser: Browser) -> None:
    """As is one whose code the provider does not know."""
    for extra in ({"error": "access_denied"}, {"code": "unknown"}, {}):
        state = parse_qs(urlsplit((await browser.depart()).headers["location"]).query)["state"][0]
        answer = await browser.arrive(httpx.QueryParams({"state": state, **extra}))
        assert problem(answer) == (401, "sso-refused")
    assert problem(await browser.arrive(httpx.QueryParams({"state": "mss_nothing"}))) == (401, "sso-refused")


async def test_parallel_answers_give_one_session(openid: OpenIdProvider, browser: Browser) -> None:
    """Of the same redirect, followed many times at once."""
    someone(openid, browser.tenant)
    told = await openid.answer((await browser.depart()).headers["location"])
    answers = await asyncio.gather(*(browser.arrive(told) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]


async def test_secrets_are_encrypted_and_not_told(openid: OpenIdProvider, browser: Browser, admin: Admin) -> None:
    """Nor do they follow to another issuer."""
    kept = await admin.fetchval("select client_secret from identity_providers")
    assert CLIENT_SECRET.encode() not in kept
    path = f"/sso/providers/{browser.provider_id}"
    shown = (await browser.tenant.ask("GET", path)).text
    assert CLIENT_SECRET not in shown
    moved = {"issuer": openid.issuer.replace("127.0.0.1", "localhost")}
    assert (await browser.tenant.ask("PATCH", path, json=moved)).json()["has_secret"] is False


async def test_an_issuer_is_asked_outside_of_the_one_transaction(
    openid: OpenIdProvider, acme: Tenant, admin: Admin
) -> None:
    """With an Idempotency-Key no transaction is open meanwhile; the answer is kept as any other, and told again."""
    open_ones: list[int] = []
    held = (
        "select count(*) from pg_stat_activity where state = 'idle in transaction' and usename = 'millrace_auth'"
        " and datname = current_database()"
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        # What works in the background is over in a moment; the request's own would stay as long as it is not answered.
        with suppress(AssertionError):
            await eventually(no_more)
        open_ones.append(await admin.fetchval(held))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def no_more() -> bool:
        return not await admin.fetchval(held)

    headers = {"authorization": f"Bearer {acme.told['access_token']}", "idempotency-key": "once"}
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        nobody = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        body = given(openid, acme, issuer=nobody)
        refused = await acme.http.post("/api/v1/sso/providers", json=body, headers=headers)
    assert (faults(refused), open_ones) == ({"/issuer": "no_provider"}, [0])
    answers = [
        await acme.http.post("/api/v1/sso/providers", json=given(openid, acme), headers=headers) for _ in range(2)
    ]
    assert [it.status_code for it in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    path = f"/api/v1/sso/providers/{answers[0].json()['id']}"
    changed = await acme.http.patch(path, json={"enabled": True, "name": "Again"}, headers=headers)
    assert (changed.status_code, changed.json()["name"]) == (200, "Again")
    assert len((await acme.ask("GET", "/sso/providers")).json()["items"]) == 1


BAD: tuple[tuple[dict[str, Any], dict[str, str]], ...] = (
    ({"email_domains": ["unproven.example"]}, {"/email_domains/0": "domain_not_proven"}),
    ({"email_domains": []}, {"/email_domains": "required"}),
    ({"issuer": "ftp://x"}, {"/issuer": "invalid_url"}),
    ({"scopes": ["email"]}, {"/scopes": "required"}),
    ({"default_roles": ["nobody"]}, {"/roles/0": "unknown_role"}),
    ({"role_mapping": {"x": "member"}}, {"/role_claim": "required"}),
    ({"algorithm": "none"}, {"/algorithm": "invalid_value"}),
    ({"algorithm": "HS256"}, {"/algorithm": "invalid_value"}),
)


async def test_a_bad_provider_is_refused(openid: OpenIdProvider, acme: Tenant) -> None:
    """With the place of the fault."""
    for changes, fault in BAD:
        answer = await acme.ask("POST", "/sso/providers", json=given(openid, acme, **changes))
        assert faults(answer) == fault


async def test_who_does_not_answer_is_no_provider(openid: OpenIdProvider, acme: Tenant) -> None:
    """Nor is one whose metadata name another issuer."""
    for issuer in ("http://127.0.0.1:1", openid.issuer + "/"):
        answer = await acme.ask("POST", "/sso/providers", json=given(openid, acme, issuer=issuer))
        assert faults(answer) == {"/issuer": "no_provider"}


async def test_others_have_no_say(openid: OpenIdProvider, browser: Browser, other: Tenant) -> None:
    """It takes managing the organization, and another tenant's are not there."""
    path = f"/sso/providers/{browser.provider_id}"
    members = await browser.tenant.token_of("member")
    for method, of in (("GET", path), ("GET", "/sso/providers"), ("DELETE", path)):
        assert (await browser.tenant.ask(method, of, members)).status_code == 403
    assert (await other.ask("GET", path)).status_code == 404
    assert (await other.ask("PATCH", path, json={"name": "Mine"})).status_code == 404
    assert (await other.ask("GET", "/sso/providers")).json()["items"] == []


@pytest.fixture
async def guarded(database: Database, nats_url: str, redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A service with the settings of production."""
    async with running(build(settings(database, nats_url, redis_url))) as client:
        yield client


async def test_a_provider_is_public(openid: OpenIdProvider, guarded: httpx.AsyncClient) -> None:
    """What a tenant names is not called on the platform's own network, nor without TLS."""
    tenant = await sign_up(guarded)
    for issuer, code in ((openid.issuer, "invalid_url"), ("https://10.0.0.1/o", "private_address")):
        answer = await tenant.ask("POST", "/sso/providers", json=given(openid, tenant, issuer=issuer))
        assert faults(answer) == {"/issuer": code}

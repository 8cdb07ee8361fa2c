"""Signing in by SAML 2.0, at a provider that is another's program in a process of its own."""

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from services.auth.settings import Settings
from tests.auth.browser import Browser
from tests.auth.support import Mailbox, Tenant, faults, problem, settings, sign_up
from tests.support.postgres import Database
from tests.support.saml import SamlProvider, provider

Admin = asyncpg.Connection
MFA = "https://refeds.org/profile/mfa"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"


@pytest.fixture(scope="module")
def saml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamlProvider]:
    """The provider of this module's tests."""
    with provider(tmp_path_factory.mktemp("saml")) as running_provider:
        yield running_provider


@pytest.fixture
def auth_settings(database: Database, nats_url: str, redis_url: str, mailbox: Mailbox) -> Settings:
    """Settings that allow a provider on loopback."""
    return settings(
        database, nats_url, redis_url, mail_directory=str(mailbox.directory), outward_private_addresses=True
    )


def given(saml: SamlProvider, tenant: Tenant, **changes: Any) -> dict[str, Any]:
    """A provider as the API takes it."""
    return {
        "kind": "saml", "name": "Head office", "issuer": saml.entity_id, "sso_url": f"{saml.url}/sso",
        "certificates": [saml.certificate], "email_domains": [f"{tenant.slug}.example.com"], "provision": True,
        **changes,
    }  # fmt: skip


async def add(saml: SamlProvider, tenant: Tenant, token: str | None = None, **changes: Any) -> Browser:
    """Sets a provider up on both sides, and gives a browser that will go there."""
    answer = await tenant.ask("POST", "/sso/providers", token, json=given(saml, tenant, **changes))
    assert answer.status_code == 201, answer.text
    browser = Browser(tenant, answer.json()["id"])
    document = await browser.get(f"/auth/sso/{browser.provider_id}/metadata")
    assert document.headers["content-type"].startswith("application/samlmetadata+xml")
    saml.know(document.text)
    return browser


@pytest.fixture
async def acme(tenant: Tenant, admin: Admin) -> Tenant:
    """A tenant that has proven a domain."""
    await admin.execute(
        "insert into domains (tenant_id, host) values ($1, $2)", tenant.id, f"{tenant.slug}.example.com"
    )
    return tenant


@pytest.fixture
async def browser(saml: SamlProvider, acme: Tenant) -> Browser:
    """A browser of a tenant with a provider."""
    return await add(saml, acme)


def someone(saml: SamlProvider, tenant: Tenant, name: str = "ann", **how: Any) -> str:
    """Sits a person at the browser; tells the address."""
    email = f"{name}@{tenant.slug}.example.com"
    saml.be(email, **how)
    return email


async def tokens(browser: Browser, location: str) -> dict[str, Any]:
    """What the page gets that was returned to."""
    _, _, token = location.partition("#sso_token=")
    assert token, location
    answer = await browser.fetch(token)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_who_has_no_account_gets_one(saml: SamlProvider, browser: Browser) -> None:
    """By whichever part the provider signs; the next sign-in is the same account."""
    email = someone(saml, browser.tenant)
    told = await tokens(browser, await browser.sign_in_by_saml(saml, "/deals?tab=1"))
    user = told["user"]
    assert (user["email"], user["status"], user["email_verified"]) == (email, "active", True)
    assert [role["slug"] for role in user["roles"]] == ["member"]
    assert (await browser.tenant.ask("GET", "/users/me", told["access_token"])).json()["id"] == user["id"]
    for signed in ({"sign_response": True}, {"sign_response": True, "sign_assertion": False}):
        someone(saml, browser.tenant, **signed)
        again = await tokens(browser, await browser.sign_in_by_saml(saml))
        assert again["user"]["id"] == user["id"]


async def test_only_the_browser_that_began_gets_the_tokens(saml: SamlProvider, browser: Browser) -> None:
    """A form that is sent in another's browser signs nobody in there, and what it brings is good once."""
    someone(saml, browser.tenant)
    form = await saml.answer((await browser.depart()).headers["location"])
    victim = Browser(browser.tenant, browser.provider_id)
    await victim.depart()
    token = (await victim.bring(form)).partition("#sso_token=")[2]
    assert problem(await victim.fetch(token)) == (401, "sso-refused")
    assert (await browser.fetch(token)).json()["user"]["status"] == "active"
    assert problem(await browser.fetch(token)) == (401, "sso-refused")
    assert problem(await browser.post(form)) == (401, "sso-refused")


async def test_an_answer_is_for_its_request(saml: SamlProvider, browser: Browser) -> None:
    """Another sign-in, another provider, another host, another tenant: all the same refusal."""
    someone(saml, browser.tenant)
    form = await saml.answer((await browser.depart()).headers["location"])
    later = await saml.answer((await browser.depart()).headers["location"])
    mixed = {"SAMLResponse": form["SAMLResponse"], "RelayState": later["RelayState"]}
    assert await browser.bring(mixed) == "/#sso_error=sso-refused"
    second = await add(saml, browser.tenant, name="Second")
    assert problem(await second.post(form)) == (401, "sso-refused")
    stranger = await sign_up(browser.tenant.http)
    assert problem(await Browser(stranger, browser.provider_id).post(form)) == (401, "sso-refused")
    elsewhere = f"{browser.tenant.slug}.example.com"
    assert await browser.bring(form, host=elsewhere) == "/#sso_error=sso-refused"


async def test_an_assertion_is_taken_once(saml: SamlProvider, browser: Browser, admin: Admin) -> None:
    """Also where the sign-in that it answers were still under way."""
    someone(saml, browser.tenant)
    form = await saml.answer((await browser.depart()).headers["location"])
    await admin.execute("create table kept as table sso_flows")
    assert "#sso_token=" in await browser.bring(form)
    await admin.execute("insert into sso_flows table kept")
    assert await browser.bring(form) == "/#sso_error=sso-refused"


async def test_parallel_answers_give_one_arrival(saml: SamlProvider, browser: Browser) -> None:
    """Of the same form, sent many times at once."""
    someone(saml, browser.tenant)
    form = await saml.answer((await browser.depart()).headers["location"])
    answers = await asyncio.gather(*(browser.post(form) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [303, 401, 401, 401]


async def test_what_the_provider_gets_wrong_is_refused(saml: SamlProvider, browser: Browser) -> None:
    """Properly signed, and for another audience, place, request or issuer, or for once."""
    wrong: tuple[dict[str, Any], ...] = (
        {"sp_entity_id": "https://other.example"}, {"destination": "https://evil.example/acs"},
        {"in_response_to": "_another"}, {"issuer": "https://evil.example"}, {"format": TRANSIENT},
        {"sign_assertion": False},
    )  # fmt: skip
    for changes in wrong:
        someone(saml, browser.tenant, **changes)
        assert await browser.sign_in_by_saml(saml, "/x") == "/x#sso_error=sso-refused", changes


async def test_another_key_is_refused(saml: SamlProvider, acme: Tenant, tmp_path_factory: Any) -> None:
    """A second provider that calls itself the first and gets the very request."""
    with provider(tmp_path_factory.mktemp("other")) as other:
        browser = await add(saml, acme, sso_url=f"{other.url}/sso")
        other.know((await browser.get(f"/auth/sso/{browser.provider_id}/metadata")).text)
        other.be(f"ann@{acme.slug}.example.com", issuer=saml.entity_id)
        assert await browser.sign_in_by_saml(other) == "/#sso_error=sso-refused"
        certificates = [saml.certificate, other.certificate]
        await acme.ask("PATCH", f"/sso/providers/{browser.provider_id}", json={"certificates": certificates})
        assert "#sso_token=" in await browser.sign_in_by_saml(other)


async def test_only_addresses_of_its_domains_count(saml: SamlProvider, acme: Tenant) -> None:
    """By attribute or by name; a subject without an address has no account to be found by."""
    browser = await add(saml, acme, email_attribute="mailbox", name_attribute="called")
    saml.be("a.n.other", {"mailbox": ["ann@elsewhere.example"]}, format=PERSISTENT)
    assert await browser.sign_in_by_saml(saml) == "/#sso_error=sso-domain"
    saml.be("a.n.other", {"mailbox": ["not an address"]}, format=PERSISTENT)
    assert await browser.sign_in_by_saml(saml) == "/#sso_error=sso-email-not-verified"
    address = f"Ann@{acme.slug}.example.com"
    saml.be("a.n.other", {"mailbox": [address], "called": ["Ann Other"]}, format=PERSISTENT)
    user = (await tokens(browser, await browser.sign_in_by_saml(saml)))["user"]
    assert (user["email"], user["name"]) == (address.lower(), "Ann Other")


async def test_mapped_roles_come_and_go(saml: SamlProvider, acme: Tenant) -> None:
    """With the attribute; roles that the mapping does not name stay."""
    browser = await add(saml, acme, role_claim="groups", role_mapping={"sales": "manager", "it": "admin"})
    someone(saml, acme, attributes={"groups": ["sales", "it", "other"]})
    user = (await tokens(browser, await browser.sign_in_by_saml(saml)))["user"]
    assert sorted(role["slug"] for role in user["roles"]) == ["admin", "manager", "member"]
    someone(saml, acme, attributes={"groups": ["sales"]})
    user = (await tokens(browser, await browser.sign_in_by_saml(saml)))["user"]
    assert sorted(role["slug"] for role in user["roles"]) == ["manager", "member"]


async def test_a_required_second_factor_is_asked_for(saml: SamlProvider, acme: Tenant) -> None:
    """Unless the provider is trusted with it, and says that there was one."""
    browser = await add(saml, acme, trusts_mfa=True)
    someone(saml, acme)
    await browser.sign_in_by_saml(saml)
    await acme.ask("PATCH", "/organizations/current", json={"security": {"mfa_required": True}})
    assert (await tokens(browser, await browser.sign_in_by_saml(saml)))["mfa_required"] is True
    someone(saml, acme, context=MFA)
    assert "access_token" in await tokens(browser, await browser.sign_in_by_saml(saml))


async def test_it_begins_and_ends_at_the_organizations_own_hosts(browser: Browser) -> None:
    """So entity id and place of answers are always theirs, also in the metadata."""
    path = f"/auth/sso/{browser.provider_id}"
    for what in ("authorize", "metadata"):
        assert problem(await browser.get(f"{path}/{what}", host="evil.example")) == (403, "foreign-host")
    assert faults(await browser.depart("//evil.example")) == {"/return_to": "not_a_path"}
    own = f"{browser.tenant.slug}.example.com"
    shown = (await browser.get(f"{path}/metadata", host=own)).text
    assert f'entityID="https://{own}/api/v1{path}/metadata"' in shown
    assert f'Location="https://{own}/api/v1{path}/acs"' in shown


BAD: tuple[tuple[dict[str, Any], dict[str, str]], ...] = (
    ({"sso_url": None}, {"/sso_url": "invalid_url"}),
    ({"sso_url": "javascript:alert(1)"}, {"/sso_url": "invalid_url"}),
    ({"sso_url": "https:///x"}, {"/sso_url": "invalid_url"}),
    ({"issuer": ""}, {"/issuer": "invalid_text"}),
    ({"certificates": []}, {"/certificates": "invalid_count"}),
    ({"certificates": ["x", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"]},
     {"/certificates/0": "invalid_certificate", "/certificates/1": "invalid_certificate"}),
    ({"client_secret": "x"}, {"/client_secret": "not_of_this_kind"}),
    ({"email_attribute": "two words"}, {"/email_attribute": "invalid_text"}),
    ({"kind": "oidc", "client_id": "x"}, {"/sso_url": "not_of_this_kind", "/certificates": "not_of_this_kind"}),
    ({"kind": "ldap"}, {"/kind": "invalid_value"}),
    ({"email_domains": ["unproven.example"]}, {"/email_domains/0": "domain_not_proven"}),
)  # fmt: skip


async def test_a_bad_provider_is_refused(saml: SamlProvider, acme: Tenant) -> None:
    """With the place of the fault, also in a change; the kind is chosen once."""
    for changes, fault in BAD:
        answer = await acme.ask("POST", "/sso/providers", json=given(saml, acme, **changes))
        assert faults(answer) == fault, changes
    path = f"/sso/providers/{(await add(saml, acme)).provider_id}"
    assert faults(await acme.ask("PATCH", path, json={"certificates": []})) == {"/certificates": "invalid_count"}
    assert faults(await acme.ask("PATCH", path, json={"kind": "oidc"})) == {"/kind": "unknown_field"}
    told = (await acme.ask("PATCH", path, json={"name": "Main office"})).json()
    assert (told["name"], told["kind"], told["client_id"]) == ("Main office", "saml", None)


async def test_answers_of_the_other_kind_are_refused(saml: SamlProvider, browser: Browser) -> None:
    """No code is taken of a SAML provider, and noise is no response."""
    departed = await browser.depart("/x")
    form = await saml.answer(departed.headers["location"])
    mixed = httpx.QueryParams({"state": form["RelayState"], "code": "x"})
    returned = await browser.arrive(mixed)
    assert (returned.status_code, returned.headers["location"]) == (303, "/x#sso_error=provider-not-found")
    state = (await saml.answer((await browser.depart()).headers["location"]))["RelayState"]
    assert await browser.bring({"SAMLResponse": "noise", "RelayState": state}) == "/#sso_error=sso-refused"
    assert problem(await browser.post({"SAMLResponse": "x", "RelayState": "y"})) == (401, "sso-refused")
    assert (await browser.post({"SAMLResponse": "x"})).status_code == 422
    assert (await browser.post({"SAMLResponse": "x" * 300_000, "RelayState": state})).status_code in (413, 422)

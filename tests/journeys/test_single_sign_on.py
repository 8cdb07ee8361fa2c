"""Signing in elsewhere, and being provisioned from there, through the gateway."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from tests.journeys.crm import told
from tests.support.openid import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, provider
from tests.support.platform import Platform, Tenant, client
from tests.support.saml import SamlProvider
from tests.support.saml import provider as saml_provider
from tests.support.waiting import eventually

pytestmark = pytest.mark.journey


@pytest.fixture
def openid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    """A provider on loopback."""
    with provider(tmp_path_factory.mktemp("openid")) as running:
        yield running


@pytest.fixture
async def domain(stack: Platform, tenant: Tenant) -> str:
    """A domain of the tenant, as if its record had been found in the DNS."""
    host = f"{tenant.slug}.example.com"
    connection = await asyncpg.connect(stack.database.admin_dsn)
    await connection.execute("insert into auth.domains (tenant_id, host) values ($1, $2)", tenant.id, host)
    await connection.close()
    return host


async def test_a_directory_provisions_whoever_signs_in_there(
    stack: Platform, tenant: Tenant, openid: OpenIdProvider, domain: str
) -> None:
    """By a key over SCIM; the person comes in by OpenID Connect, and is out a second after leaving the directory."""
    given = {
        "name": "Head office", "issuer": openid.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "email_domains": [domain],
    }  # fmt: skip
    made = told(await tenant.client.post("/sso/providers", json=given), 201)
    key = told(await tenant.client.post("/api-keys", json={"name": "Directory", "roles": ["admin"]}), 201)["key"]
    email = f"ann@{domain}"
    async with client(stack.url, key, **{"Content-Type": "application/scim+json"}) as directory:
        user = told(await directory.post("/scim/v2/Users", json={"userName": email, "displayName": "Ann"}), 201)
        openid.be("ann", email=email, email_verified=True)
        token = await _sign_in(stack, tenant, openid, made["id"])
        async with client(stack.url, token) as ann:
            assert told(await ann.get("/users/me"))["id"] == user["id"]
            gone = {"op": "replace", "path": "active", "value": False}
            body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [gone]}
            told(await directory.patch(f"/scim/v2/Users/{user['id']}", json=body))

            async def out() -> bool:
                return (await ann.get("/users/me")).status_code == 401

            await eventually(out)
        assert (await directory.get("/scim/v2/Users/nothing")).json()["status"] == "404"


async def _sign_in(stack: Platform, tenant: Tenant, openid: OpenIdProvider, provider_id: str) -> str:
    """The access token of a browser that went to the provider and came back."""
    host = f"{tenant.slug}.localhost:{urlsplit(stack.url).port}"
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", headers={"Host": host}) as browser:
        (offered,) = told(await browser.get("/auth/sso"))["items"]
        assert offered["id"] == provider_id
        departed = await browser.get(offered["authorize"].removeprefix("/api/v1"), params={"return_to": "/deals"})
        assert departed.status_code == 302, departed.text
        cookie = departed.headers["set-cookie"].partition(";")[0]
        answer = await openid.answer(departed.headers["location"])
        returned = await browser.get(f"/auth/sso/{provider_id}/callback", params=answer, headers={"cookie": cookie})
        path, _, arrival = returned.headers["location"].partition("#sso_token=")
        assert (returned.status_code, path) == (303, "/deals")
        fetched = await browser.post("/auth/sso/token", json={"token": arrival}, headers={"cookie": cookie})
        return str(told(fetched)["access_token"])


@pytest.fixture
def saml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamlProvider]:
    """A SAML provider on loopback."""
    with saml_provider(tmp_path_factory.mktemp("saml")) as running:
        yield running


async def test_somebody_comes_in_by_the_form_of_a_saml_provider(
    stack: Platform, tenant: Tenant, saml: SamlProvider, domain: str
) -> None:
    """Through the gateway, which takes the form of another site and gives the metadata out."""
    given = {
        "kind": "saml", "name": "Head office", "issuer": saml.entity_id, "sso_url": f"{saml.url}/sso",
        "certificates": [saml.certificate], "email_domains": [domain], "provision": True,
    }  # fmt: skip
    made = told(await tenant.client.post("/sso/providers", json=given), 201)
    path, host = f"/auth/sso/{made['id']}", f"{tenant.slug}.localhost:{urlsplit(stack.url).port}"
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", headers={"Host": host}) as browser:
        saml.know((await browser.get(f"{path}/metadata")).text)
        saml.be(f"ann@{domain}")
        departed = await browser.get(f"{path}/authorize", params={"return_to": "/deals"})
        cookie = departed.headers["set-cookie"].partition(";")[0]
        browser.cookies.clear()
        returned = await browser.post(f"{path}/acs", data=await saml.answer(departed.headers["location"]))
        there, _, arrival = returned.headers["location"].partition("#sso_token=")
        assert (returned.status_code, there) == (303, "/deals")
        fetched = told(await browser.post("/auth/sso/token", json={"token": arrival}, headers={"cookie": cookie}))
        assert fetched["user"]["email"] == f"ann@{domain}"

"""Passkeys in a real browser, by its virtual authenticator (WebAuthn Level 3 §11), through the gateway."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import chromium
from tests.support.chromium import Page
from tests.support.platform import Platform, Tenant

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(chromium.find() is None, reason="no Chromium here; install one or name it in CHROMIUM"),
]

# What the page of an application does, as the documentation of the API tells it.
SCRIPT = """
(async () => {
  const token = TOKEN;
  const ask = async (path, body, bearer) => {
    const headers = {"content-type": "application/json"};
    if (bearer) headers.authorization = `Bearer ${bearer}`;
    const answer = await fetch(`/api/v1${path}`, {method: "POST", headers, body: JSON.stringify(body)});
    return {status: answer.status, body: await answer.json()};
  };
  const options = (path, bearer) => ask(path, undefined, bearer).then(answer => answer.body);
  const attempt = async work => { try { return await work(); } catch (error) { return {error: error.name}; } };
  return attempt(async () => { BODY });
})()
"""
REGISTER = """
const asked = await options("/passkeys/options", token);
const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked.options);
const credential = (await navigator.credentials.create({publicKey})).toJSON();
return await ask("/passkeys", {token: asked.token, credential, name: "Chromium"}, token);
"""
SIGN_IN = """
const asked = await options("/auth/passkeys/options");
const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked.options);
const credential = (await navigator.credentials.get({publicKey})).toJSON();
return await ask("/auth/passkeys/verify", {token: asked.token, credential});
"""


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A browser."""
    program = chromium.find()
    assert program is not None
    async with chromium.chromium(program, tmp_path / "profile") as browser:
        yield browser


async def enter(page: Page, stack: Platform, tenant: Tenant, *, verifies: bool = True) -> str:
    """Opens a page of a tenant's host, where an authenticator is plugged in; tells the authenticator's id."""
    port = urlsplit(stack.url).port
    await page.open(f"http://{tenant.slug}.localhost:{port}/api/v1/status")
    await page.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": verifies, "automaticPresenceSimulation": True,
    }  # fmt: skip
    made = await page.send("WebAuthn.addVirtualAuthenticator", options=options)
    return str(made["authenticatorId"])


async def run(page: Page, body: str, token: str | None = None) -> dict[str, Any]:
    """What the page is answered."""
    return dict(await page.run(SCRIPT.replace("TOKEN", json.dumps(token)).replace("BODY", body)))


async def test_a_passkey_is_made_and_signs_in(stack: Platform, tenant: Tenant, page: Page) -> None:
    """The browser makes it for the tenant's host, finds it again without a name, and is signed in by two factors."""
    authenticator = await enter(page, stack, tenant)
    made = await run(page, REGISTER, tenant.access_token)
    assert made["status"] == 201, made
    assert made["body"]["host"] == f"{tenant.slug}.localhost"
    again = await run(page, REGISTER, tenant.access_token)
    assert again == {"error": "InvalidStateError"}
    signed_in = await run(page, SIGN_IN)
    assert signed_in["status"] == 200, signed_in
    assert signed_in["body"]["user"]["id"] == tenant.user["id"]
    sessions = (await tenant.client.get("/sessions")).json()["items"]
    assert sorted(session["mfa"] for session in sessions) == [False, True]
    kept = await page.send("WebAuthn.getCredentials", authenticatorId=authenticator)
    (credential,) = kept["credentials"]
    assert (credential["isResidentCredential"], credential["rpId"]) == (True, f"{tenant.slug}.localhost")


async def test_a_passkey_is_not_offered_at_another_host(
    stack: Platform, tenant: Tenant, other_tenant: Tenant, page: Page
) -> None:
    """A page of another host, which passes the challenge on, is refused by the browser itself."""
    authenticator = await enter(page, stack, tenant)
    assert (await run(page, REGISTER, tenant.access_token))["status"] == 201
    kept = (await page.send("WebAuthn.getCredentials", authenticatorId=authenticator))["credentials"]
    elsewhere = await enter(page, stack, other_tenant)
    await page.send("WebAuthn.addCredential", authenticatorId=elsewhere, credential=kept[0])
    asked = f"publicKey.rpId = '{tenant.slug}.localhost'; publicKey.timeout = 1000;"
    relayed = SIGN_IN.replace("const credential", f"{asked} const credential")
    assert await run(page, relayed) == {"error": "SecurityError"}
    assert (await run(page, SIGN_IN.replace("const credential", "publicKey.timeout = 1000; const credential"))) == {
        "error": "NotAllowedError"
    }


async def test_the_user_is_verified(stack: Platform, tenant: Tenant, page: Page) -> None:
    """An authenticator that does not know whose finger it is makes no passkey."""
    await enter(page, stack, tenant, verifies=False)
    asked = REGISTER.replace("const credential", "publicKey.timeout = 1000; const credential")
    assert await run(page, asked, tenant.access_token) == {"error": "NotAllowedError"}

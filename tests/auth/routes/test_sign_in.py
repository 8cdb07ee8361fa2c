"""Signing up, in, on and out."""

from tests.auth.support import Tenant


async def test_sign_up_makes_an_organization_and_signs_its_owner_in(tenant: Tenant) -> None:
    """The answer has the organization, its owner and tokens that are good at once."""
    me = await tenant.ask("GET", "/users/me")
    assert me.status_code == 200, me.text
    assert me.json() == tenant.told["user"]
    assert [role["slug"] for role in me.json()["roles"]] == ["owner"]
    assert tenant.told["token_type"] == "Bearer"
    assert tenant.told["expires_in"] == 600
    assert tenant.told["organization"]["slug"] == tenant.slug


async def test_login(tenant: Tenant) -> None:
    """X."""
    told = await tenant.sign_in(tenant.email.upper())
    r = await tenant.http.post("/api/v1/auth/refresh", json={"refresh_token": told["refresh_token"]})
    assert r.status_code == 200, r.text

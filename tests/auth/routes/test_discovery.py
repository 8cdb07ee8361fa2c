"""Keys, metadata, and whose a host is."""

import httpx
import jwt

from libs.common.bus import Bus
from tests.auth.support import Tenant, problem


async def test_tokens_are_verified_with_the_published_keys(tenant: Tenant) -> None:
    """A verifier that knows nothing but the key set accepts a token, with the claims that were promised."""
    keys = jwt.PyJWKSet.from_dict((await tenant.http.get("/.well-known/jwks.json")).json())
    token = tenant.told["access_token"]
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="millrace", issuer="millrace")
    assert claims.keys() == {"iss", "aud", "sub", "tid", "sid", "kind", "name", "roles", "iat", "exp", "jti"}
    assert (claims["sub"], claims["tid"]) == (tenant.told["user"]["id"], str(tenant.id))
    assert claims["kind"] == "user"
    assert 599 < claims["exp"] - claims["iat"] <= 600


async def test_key_sets_tell_nothing_private(http: httpx.AsyncClient) -> None:
    """Two keys, the one that signs and the next, each with its public part alone."""
    keys = (await http.get("/.well-known/jwks.json")).json()["keys"]
    assert len(keys) == 2
    assert {name for key in keys for name in key} == {"kty", "crv", "x", "kid", "alg", "use"}


async def test_metadata_names_the_keys_where_the_client_reaches_them(http: httpx.AsyncClient) -> None:
    """By the host and scheme that the gateway was asked by."""
    headers = {"x-forwarded-proto": "https", "x-forwarded-host": "acme.example.com"}
    told = (await http.get("/.well-known/openid-configuration", headers=headers)).json()
    assert told["issuer"] == "millrace"
    assert told["jwks_uri"] == "https://acme.example.com/.well-known/jwks.json"


async def test_a_host_is_resolved_by_slug_or_domain(tenant: Tenant, bus: Bus) -> None:
    """With or without port, in any case; a tenant's own domain as well."""
    question = {"name": "Demo Company", "domain": "crm.example.com", "slug": "demo"}
    demo = await bus.request("rpc.auth.admin.create_tenant", question, dict[str, object])
    expected = {
        f"host={tenant.slug}.localhost": str(tenant.id),
        f"host={tenant.slug.upper()}.LOCALHOST:8000": str(tenant.id),
        f"slug={tenant.slug}": str(tenant.id),
        "host=demo.localhost:8000": demo["id"],
        "host=crm.example.com:443": demo["id"],
    }
    for query, tenant_id in expected.items():
        answer = await tenant.http.get(f"/internal/tenants/resolve?{query}")
        assert (answer.status_code, answer.json()["id"]) == (200, tenant_id), query
    assert answer.json() == {
        "id": demo["id"],
        "slug": "demo",
        "name": "Demo Company",
        "status": "active",
        "addresses": [],
        "requests_per_minute": None,
        "requests_per_day": None,
    }


async def test_a_host_of_nobody_is_not_found(http: httpx.AsyncClient) -> None:
    """Unknown slugs, unknown domains, and a question without either."""
    for query in ("host=nobody.localhost", "host=localhost", "host=127.0.0.1:8000", "slug=nobody"):
        answer = await http.get(f"/internal/tenants/resolve?{query}")
        assert problem(answer) == (404, "tenant-not-found"), query
    assert problem(await http.get("/internal/tenants/resolve")) == (422, "validation-failed")

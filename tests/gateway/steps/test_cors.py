"""Origins and proxies that the settings name."""

import httpx

from tests.gateway.support import bearer, gateway_for, token

ASKED = {"origin": "http://localhost:5173", "access-control-request-method": "PATCH"}
PATH = "/api/v1/users/me"


async def test_no_origin_is_allowed_by_default(client: httpx.AsyncClient) -> None:
    """Without a setting no answer names an allowed origin, and a preflight is an ordinary request."""
    preflight = await client.options(PATH, headers=ASKED)
    answer = await client.get(PATH, headers={**bearer(token()), **ASKED})

    assert preflight.status_code == 401
    assert "access-control-allow-origin" not in answer.headers


async def test_named_origins_are_allowed(services_url: str, redis_url: str, nats_url: str) -> None:
    """Preflights of a named origin are answered at the edge, also errors may be read by it, others may not."""
    with gateway_for(services_url, redis_url, nats_url, cors_origins="http://localhost:5173") as url:
        async with httpx.AsyncClient(base_url=url) as client:
            preflight = await client.options(PATH, headers=ASKED)
            error = await client.get(PATH, headers=ASKED)
            other = await client.get(PATH, headers={**bearer(token()), "origin": "http://evil.test"})

    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "http://localhost:5173")
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert (error.status_code, error.headers["access-control-allow-origin"]) == (401, "http://localhost:5173")
    assert "access-control-allow-origin" not in other.headers
    assert other.headers["vary"] == "Origin"


async def test_only_trusted_proxies_are_believed(services_url: str, redis_url: str, nats_url: str) -> None:
    """Behind a trusted proxy the last address that is not its own counts, not what the client claimed before."""
    forwarded = {"x-forwarded-for": "6.6.6.6, 203.0.113.9, 127.0.0.1", "x-forwarded-proto": "https"}
    seen = []
    for trusted in ("127.0.0.0/8", "10.0.0.0/8"):
        with gateway_for(services_url, redis_url, nats_url, trusted_proxies=trusted) as url:
            async with httpx.AsyncClient(base_url=url, headers=bearer(token())) as client:
                headers = dict((await client.get(PATH, headers=forwarded)).json()["headers"])
                seen.append((headers["x-forwarded-for"], headers["x-forwarded-proto"]))

    assert seen == [("203.0.113.9", "https"), ("127.0.0.1", "http")]

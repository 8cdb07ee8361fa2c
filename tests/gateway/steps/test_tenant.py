"""Whose request it is: the tenant of the host, of the header and of the token."""

import httpx
import pytest
from msgspec import Raw

from libs.common import events
from libs.common.bus import Bus, Outgoing
from libs.common.ids import NIL, new_id
from tests.gateway.support import CLOSED, DEMO, OTHER, Services, bearer, token, until_async

ANONYMOUS = "/api/v1/auth/refresh"
SIGNED_IN = "/api/v1/users/me"


def tenant_told(answer: httpx.Response) -> str | None:
    """The tenant that the service was told of."""
    headers: dict[str, str] = dict(answer.json()["headers"])
    return headers.get("x-millrace-tenant")


@pytest.mark.parametrize(("headers", "tenant"), [
    ({"host": "demo.localhost:8000"}, DEMO),
    ({"host": "DEMO.localhost"}, DEMO),
    ({"host": "crm.example.com"}, DEMO),
    ({"host": "localhost", "x-tenant": "other"}, OTHER),
    ({"host": "127.0.0.1:8000", "x-tenant": "other"}, OTHER),
    ({"host": "[::1]:8000", "x-tenant": "other"}, OTHER),
    ({"host": "demo.localhost", "x-tenant": "other"}, DEMO),
    ({"host": "api.example.com", "x-tenant": "other"}, OTHER),
    ({"host": "localhost"}, None),
    ({"host": "nobody.localhost"}, None),
])  # fmt: skip
async def test_an_anonymous_request_is_the_hosts(client: httpx.AsyncClient, headers: dict[str, str], tenant) -> None:  # type: ignore[no-untyped-def]
    """The host names the tenant; where it names none, X-Tenant does."""
    answer = await client.post(ANONYMOUS, headers=headers)

    assert (200, tenant and str(tenant)) == (answer.status_code, tenant_told(answer))


async def test_a_signed_in_request_is_the_tokens(client: httpx.AsyncClient) -> None:
    """A token is good at its own host and where the host names none; the service is told of no other tenant."""
    for host in ("demo.localhost", "localhost", "crm.example.com"):
        answer = await client.get(SIGNED_IN, headers={**bearer(token()), "host": host})
        assert (answer.status_code, tenant_told(answer)) == (200, None), host


@pytest.mark.parametrize("headers", [
    {"host": "other.localhost"}, {"host": "nobody.localhost"}, {"host": "localhost", "x-tenant": "other"},
])  # fmt: skip
async def test_token_and_host_must_agree(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """A token at another tenant's host is 403 tenant-mismatch."""
    answer = await client.get(SIGNED_IN, headers={**bearer(token(DEMO)), **headers})

    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/tenant-mismatch")


async def test_unknown_and_inactive_tenants(client: httpx.AsyncClient) -> None:
    """An X-Tenant that is nobody's is 404, a suspended organization is 403."""
    unknown = await client.post(ANONYMOUS, headers={"x-tenant": "nobody"})
    closed = await client.get(SIGNED_IN, headers={**bearer(token(CLOSED)), "host": "closed.localhost"})

    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/tenant-not-found")
    assert (closed.status_code, closed.json()["type"]) == (403, "/problems/tenant-inactive")


async def test_answers_are_remembered_until_the_tenant_changes(
    client: httpx.AsyncClient, services: Services, nats_url: str
) -> None:
    """Auth is asked once for a host; an event of the tenant, also of a new one, makes the gateway ask again."""
    for _ in range(5):
        await client.post(ANONYMOUS, headers={"host": "demo.localhost"})
        await client.post(ANONYMOUS, headers={"host": "late.localhost"})
    asked = list(services.resolved)
    services.tenants["late"] = (new_id(), "active")
    bus = Bus(nats_url, "test")
    await bus.start()
    await bus.ready()

    async def is_known() -> bool:
        created = events.NewEvent("auth.tenant.created", NIL, Raw(b"{}"))
        _, subject, payload = events.encode(services.tenants["late"][0], created)
        await bus.publish([Outgoing(subject, payload.encode(), str(new_id()))])
        return tenant_told(await client.post(ANONYMOUS, headers={"host": "late.localhost"})) is not None

    await until_async(is_known, 4.0)
    await bus.stop()

    assert asked == ["slug=demo", "slug=late", "host=late.localhost"]

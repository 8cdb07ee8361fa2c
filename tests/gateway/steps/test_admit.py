"""A tenant's own rules at the gateway: whether it is active, and from where one may come."""

import httpx
import msgspec
import pytest

from gateway.tenants import Tenant
from libs.common.bus import Bus, Outgoing
from libs.common.ids import new_id
from tests.gateway.support import CLOSED, DEMO, OTHER, Services, bearer, token, until_async

PATH = "/api/v1/users/me"


async def announce(nats_url: str) -> None:
    """Tells that the tenant demo has changed, as auth does."""
    bus = Bus(nats_url, "test")
    await bus.start()
    await bus.ready()
    document = {
        "id": new_id(), "source": "/millrace/auth", "type": "auth.tenant.updated", "subject": "x", "time": "x",
        "tenantid": DEMO, "data": {},
    }  # fmt: skip
    subject = f"evt.{DEMO}.auth.tenant.updated"
    await bus.publish([Outgoing(subject, msgspec.json.encode(document), str(new_id()))])
    await bus.stop()


async def test_a_token_of_a_suspended_tenant_opens_nothing(client: httpx.AsyncClient) -> None:
    """Also where no host names the tenant."""
    answer = await client.get(PATH, headers=bearer(token(CLOSED)))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/tenant-inactive")


async def test_a_tenant_that_is_gone_is_not_served(client: httpx.AsyncClient) -> None:
    """Its tokens are good by their signature, and open nothing."""
    answer = await client.get(PATH, headers=bearer(token(new_id())))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/tenant-inactive")


async def test_one_looks_a_tenant_up_once(client: httpx.AsyncClient, services: Services) -> None:
    """Many requests cost one question."""
    for _ in range(5):
        assert (await client.get(PATH, headers=bearer(token()))).status_code == 200
    assert services.resolved == [f"id={DEMO}"]


async def test_a_change_reaches_the_gateway_within_a_second(
    client: httpx.AsyncClient, services: Services, nats_url: str
) -> None:
    """Suspended, or shut to an address, a tenant is refused at once when auth has announced it; others are not."""
    assert (await client.get(PATH, headers=bearer(token()))).status_code == 200
    services.addresses["demo"] = ["198.51.100.0/24"]
    await announce(nats_url)

    async def refused() -> httpx.Response | None:
        answer = await client.get(PATH, headers=bearer(token()))
        return answer if answer.status_code == 403 else None

    answer = await until_async(refused, 1.0)
    assert answer.json()["type"] == "/problems/address-not-allowed"
    assert (await client.get(PATH, headers=bearer(token(OTHER)))).status_code == 200
    login = await client.post("/api/v1/auth/login", headers={"x-tenant": "demo"}, json={"email": "a@b.c"})
    assert login.json()["type"] == "/problems/address-not-allowed"


async def test_a_forged_address_does_not_help(client: httpx.AsyncClient, services: Services) -> None:
    """What a client says of its own address is believed of trusted proxies only."""
    services.addresses["demo"] = ["198.51.100.0/24"]
    answer = await client.get(PATH, headers=bearer(token()) | {"x-forwarded-for": "198.51.100.7"})
    assert answer.status_code == 403


@pytest.mark.parametrize(("address", "allowed"), [
    ("198.51.100.7", True), ("::ffff:198.51.100.7", True), ("198.51.101.7", False), ("2001:db8::1", True),
    ("2001:db9::1", False), ("unknown", False),
])  # fmt: skip
def test_an_address_is_within_a_network(address: str, allowed: bool) -> None:
    """Of both families; an IPv4 address in IPv6 clothes is the IPv4 address."""
    tenant = Tenant(DEMO, "demo", "Demo", "active", ("198.51.100.0/24", "2001:db8::/32"))
    assert tenant.allows(address) is allowed

"""An organization's own domains, proven by a DNS server on loopback."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import httpx
import pytest

from ops.embedded import free_port
from services.auth.main import build
from services.auth.settings import Settings
from tests.auth.support import Heard, Tenant, faults, problem, settings, sign_up
from tests.support.asgi import running
from tests.support.postgres import Database

PATH = "/organizations/current/domains"
HOST = "crm.example.org"


class Zone(asyncio.DatagramProtocol):
    """A DNS server that knows TXT records."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to listen."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answers a question."""
        asked = dns.message.from_wire(data)
        name = asked.question[0].name
        answer = dns.message.make_response(asked)
        values = self.records.get(name.to_text(omit_final_dot=True))
        if values is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            texts = [f'"{value}"' for value in values]
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", dns.rdatatype.TXT, *texts))
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def zone() -> AsyncIterator[tuple[Zone, int]]:
    """The server and its port."""
    port, zone = free_port(), Zone()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: zone, local_addr=("127.0.0.1", port)
    )
    yield zone, port
    transport.close()


@pytest.fixture
def auth_settings(database: Database, nats_url: str, redis_url: str, zone: tuple[Zone, int]) -> Settings:
    """An auth that asks that server."""
    return settings(database, nats_url, redis_url, dns_servers=f"127.0.0.1:{zone[1]}")


async def claim(tenant: Tenant, host: str = HOST) -> dict[str, Any]:
    """Claims a domain."""
    answer = await tenant.ask("POST", PATH, json={"host": host})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def prove(tenant: Tenant, zone: Zone, claimed: dict[str, Any]) -> httpx.Response:
    """Puts the record into the DNS, and has it looked for."""
    zone.records[claimed["record"]["name"]] = ["v=spf1 -all", claimed["record"]["value"]]
    return await tenant.ask("POST", f"{PATH}/{claimed['host']}/verify")


async def resolved(tenant: Tenant) -> int:
    """Whether the domain is anyone's."""
    return (await tenant.http.get(f"/internal/tenants/resolve?host={HOST}")).status_code


async def test_a_domain_is_the_tenants_when_the_record_is_there(
    tenant: Tenant, zone: tuple[Zone, int], heard: Heard
) -> None:
    """Claimed it is nobody's; proven, its requests are the tenant's, and everyone is told."""
    claimed = await claim(tenant, "CRM.Example.org.")
    assert (claimed["host"], claimed["verified"]) == (HOST, False)
    assert claimed["record"]["name"] == f"_millrace.{HOST}"
    assert await claim(tenant) == claimed
    early = await tenant.ask("POST", f"{PATH}/{HOST}/verify")
    assert problem(early) == (409, "domain-not-proven")
    assert await resolved(tenant) == 404
    assert (await prove(tenant, zone[0], claimed)).json() == {"host": HOST, "verified": True, "record": None}
    assert await resolved(tenant) == 200
    (updated,) = await heard.wait(tenant.id, "auth.tenant.updated")
    assert updated["domains"] == [HOST]
    assert (await tenant.ask("GET", PATH)).json()["items"] == [{"host": HOST, "verified": True, "record": None}]


async def test_another_record_proves_nothing(tenant: Tenant, other: Tenant, zone: tuple[Zone, int]) -> None:
    """Each tenant has a record of its own, so that one's proof is not the other's."""
    mine, theirs = await claim(tenant), await claim(other)
    assert mine["record"]["value"] != theirs["record"]["value"]
    assert (await prove(tenant, zone[0], mine)).status_code == 200
    assert problem(await other.ask("POST", f"{PATH}/{HOST}/verify")) == (409, "domain-not-proven")
    assert problem(await prove(other, zone[0], theirs)) == (409, "domain-taken")


async def test_a_domain_is_given_up(tenant: Tenant, zone: tuple[Zone, int]) -> None:
    """Its requests are nobody's; a claim goes the same way."""
    await prove(tenant, zone[0], await claim(tenant))
    assert (await tenant.ask("DELETE", f"{PATH}/{HOST}")).status_code == 204
    assert await resolved(tenant) == 404
    assert (await tenant.ask("DELETE", f"{PATH}/{HOST}")).status_code == 404
    await claim(tenant)
    assert (await tenant.ask("DELETE", f"{PATH}/{HOST}")).status_code == 204
    assert (await tenant.ask("GET", PATH)).json()["items"] == []


@pytest.mark.parametrize("host", ["", "localhost", "no host", "a..b", "-a.example.org", "other.localhost", "1" * 64])
async def test_what_is_no_domain_is_refused(tenant: Tenant, host: str) -> None:
    """Nor is what belongs to the platform."""
    assert faults(await tenant.ask("POST", PATH, json={"host": host})).keys() == {"/host"}


async def test_domains_take_managing_the_organization(tenant: Tenant, other: Tenant) -> None:
    """A manager neither sees nor changes them, and another tenant's are not there."""
    await claim(tenant)
    manager = await tenant.token_of("manager")
    for method, path, body in (("GET", PATH, None), ("POST", PATH, {"host": HOST}), ("DELETE", f"{PATH}/{HOST}", None)):
        assert problem(await tenant.ask(method, path, manager, json=body)) == (403, "forbidden")
    for method, path in (("DELETE", f"{PATH}/{HOST}"), ("POST", f"{PATH}/{HOST}/verify")):
        assert (await other.ask(method, path)).status_code == 404


async def test_while_the_dns_is_away_one_tries_again(database: Database, nats_url: str, redis_url: str) -> None:
    """The answer says that, not that the record is missing."""
    silent = settings(database, nats_url, redis_url, dns_servers=f"127.0.0.1:{free_port()}")
    async with running(build(silent)) as http:
        tenant = await sign_up(http)
        await claim(tenant)
        answer = await tenant.ask("POST", f"{PATH}/{HOST}/verify")
        assert problem(answer) == (503, "dns-unavailable")

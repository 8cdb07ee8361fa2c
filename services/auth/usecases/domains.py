"""A tenant's own domains: claimed, proven, given up."""

from collections.abc import Awaitable, Callable

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
import msgspec

from libs.common import clock, outbox
from libs.common.errors import Conflict, Invalid, NotFound, Unavailable
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.postgres import Connection
from services.auth.domain import domains as rules
from services.auth.domain import events
from services.auth.domain import organizations as organization_rules
from services.auth.domain.audit import Party, of_principal
from services.auth.domain.domains import Claim
from services.auth.domain.organizations import Organization
from services.auth.storage import domains, organizations
from services.auth.usecases.context import Context

DNS_SECONDS = 5.0

LookUp = Callable[[str], Awaitable[list[str]]]


class Domains(msgspec.Struct, frozen=True):
    """What is proven, and what is only claimed."""

    proven: tuple[str, ...]
    claims: list[Claim]


async def listed(context: Context, principal: Principal, permissions: Permissions) -> Domains:
    """The domains of the principal's tenant."""
    permissions.require("manage", "organization")
    async with context.database.tenant(principal.tenant_id) as connection:
        organization = await _lock(connection, principal)
        return Domains(organization.domains, await domains.claims(connection, principal.tenant_id))


async def claim(context: Context, principal: Principal, permissions: Permissions, given: str) -> Domains:
    """Claims a domain, and says how to prove it."""
    permissions.require("manage", "organization")
    host = organization_rules.host_name(given)
    async with context.database.tenant(principal.tenant_id) as connection:
        organization = await _lock(connection, principal)
        faults = organization_rules.check_domain(host, organization.slug, context.base_domains)
        if faults:
            raise Invalid(errors=[msgspec.structs.replace(fault, pointer="/host") for fault in faults])
        present = await domains.claims(connection, principal.tenant_id)
        if len(present) + len(organization.domains) >= rules.MAX_DOMAINS:
            raise Conflict(f"An organization has at most {rules.MAX_DOMAINS} domains", code="too-many-domains")
        if host in organization.domains:
            return Domains((host,), [])
        await domains.claim(connection, principal.tenant_id, rules.claim(host, clock.now()))
        found = await domains.claims(connection, principal.tenant_id)
        await _note(context, connection, principal, organization, "claimed", host)
        return Domains((), [it for it in found if it.host == host])


async def prove(context: Context, principal: Principal, permissions: Permissions, given: str) -> Domains:
    """Looks for the record; from then on requests to the domain are the tenant's."""
    permissions.require("manage", "organization")
    host = organization_rules.host_name(given)
    async with context.database.tenant(principal.tenant_id) as connection:
        wanted = next((it for it in await domains.claims(connection, principal.tenant_id) if it.host == host), None)
    if wanted is None:
        raise NotFound
    if not wanted.proven_by(await context.look_up_txt(wanted.record)):
        detail = f"There is no TXT record '{wanted.record}' that says '{wanted.value}'"
        raise Conflict(detail, code="domain-not-proven")
    async with context.database.tenant(principal.tenant_id) as connection:
        await _lock(connection, principal)
        if not await domains.unclaim(connection, principal.tenant_id, host):
            raise NotFound
        await organizations.insert_domain(connection, principal.tenant_id, host)
        await _announce(context, connection, principal, "proven", host)
    return Domains((host,), [])


async def give_up(context: Context, principal: Principal, permissions: Permissions, given: str) -> None:
    """Gives a domain or a claim up."""
    permissions.require("manage", "organization")
    host = organization_rules.host_name(given)
    async with context.database.tenant(principal.tenant_id) as connection:
        await _lock(connection, principal)
        unclaimed = await domains.unclaim(connection, principal.tenant_id, host)
        deleted = await domains.delete(connection, principal.tenant_id, host)
        if not (unclaimed or deleted):
            raise NotFound
        await _announce(context, connection, principal, "given_up", host)


def resolver(servers: str | None) -> LookUp:
    """Asks the DNS for TXT records, of the system's servers or of those named (`host:port`, with commas)."""

    async def look_up(name: str) -> list[str]:
        found = dns.asyncresolver.Resolver(configure=servers is None)
        if servers is not None:
            found.nameservers = [_server(it.strip()) for it in servers.split(",")]
        try:
            answer = await found.resolve(name, "TXT", lifetime=DNS_SECONDS)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise Unavailable("The DNS does not answer", code="dns-unavailable", retry_after=5) from error
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]

    return look_up


def _server(text: str) -> dns.nameserver.Nameserver:
    host, _, port = text.rpartition(":")
    return dns.nameserver.Do53Nameserver(host, int(port))


async def _lock(connection: Connection, principal: Principal) -> Organization:
    await organizations.lock(connection, principal.tenant_id)
    found = await organizations.get(connection, principal.tenant_id)
    if found is None:
        raise NotFound
    return found


async def _announce(context: Context, connection: Connection, principal: Principal, verb: str, host: str) -> None:
    organization = await _lock(connection, principal)
    await outbox.record(connection, organization.id, [events.tenant("updated", organization)])
    await _note(context, connection, principal, organization, verb, host)


async def _note(
    context: Context, connection: Connection, principal: Principal, it: Organization, verb: str, host: str
) -> None:
    by, target = of_principal(principal), Party("organization", it.id, it.name)
    await context.audit.note(connection, it.id, f"domain.{verb}", by, target, details={"host": host})

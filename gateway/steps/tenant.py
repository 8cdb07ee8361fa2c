"""Step 6: the tenant that the host names (`<slug>.<base domain>` or a tenant's own domain), or else `X-Tenant`."""

import re
from collections.abc import Awaitable, Iterable
from ipaddress import ip_address

from gateway.exchange import Exchange
from gateway.tenants import Tenant, TenantDirectory, refuse_inactive
from libs.common.errors import Forbidden, Malformed, NotFound
from libs.common.ids import NIL

MAX_NAMELESS = 1000
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class TenantOfHost:
    """Notes the tenant of the host. One that names an unknown tenant leaves the nil id, which agrees with no token."""

    def __init__(self, directory: TenantDirectory, base_domains: Iterable[str]) -> None:
        self._directory = directory
        self._bases = frozenset(base_domains)
        self._nameless: set[str] = set()
        self._suffixes = tuple("." + base for base in base_domains)

    def __call__(self, exchange: Exchange) -> Awaitable[None] | None:
        """Resolves the tenant; a host that was looked up before needs no wait."""
        if exchange.host in self._nameless and b"x-tenant" not in exchange.known:
            return None
        tenant_id = self._directory.known_host(exchange.host)
        if tenant_id is None:
            return self._resolve(exchange)
        exchange.tenant_id = tenant_id
        return None

    async def _resolve(self, exchange: Exchange) -> None:
        host = exchange.host if exchange.host.startswith("[") else exchange.host.partition(":")[0]
        if host in self._bases or _is_address(host):
            if len(self._nameless) < MAX_NAMELESS:
                self._nameless.add(exchange.host)
            await self._by_header(exchange)
            return
        tenant = await self._by_host(host)
        if tenant is not None:
            refuse_inactive(tenant, exchange.route)
            exchange.tenant_id = tenant.id
            self._directory.note_host(exchange.host, tenant.id)
        elif host.endswith(self._suffixes):
            exchange.tenant_id = NIL
        else:
            await self._by_header(exchange)

    async def serves(self, host: str) -> bool:
        """Whether a host is one of the platform's own, or an organization's that is not deleted."""
        if host in self._bases:
            return True
        tenant = await self._by_host(host) if host else None
        return tenant is not None and tenant.status != "deleted"

    async def _by_host(self, host: str) -> Tenant | None:
        if host.endswith(self._suffixes):
            slug = host[: -len(next(suffix for suffix in self._suffixes if host.endswith(suffix)))]
            if _SLUG.fullmatch(slug) and (tenant := await self._directory.find("slug", slug)) is not None:
                return tenant
        return await self._directory.find("host", host)

    async def _by_header(self, exchange: Exchange) -> None:
        given = exchange.known.get(b"x-tenant")
        if given is None:
            return
        slug = given.decode("latin-1").strip().lower()
        if _SLUG.fullmatch(slug) is None:
            raise Malformed("X-Tenant is not the slug of an organization.", code="bad-tenant")
        tenant = await self._directory.find("slug", slug)
        if tenant is None:
            raise NotFound(f"There is no organization {slug}.", code="tenant-not-found")
        refuse_inactive(tenant, exchange.route)
        exchange.tenant_id = tenant.id


def agree(exchange: Exchange) -> None:
    """Step 8: a token is good at its own tenant's host only."""
    principal = exchange.principal
    if principal is not None and exchange.tenant_id is not None and exchange.tenant_id != principal.tenant_id:
        raise Forbidden("The token belongs to another organization than the host.", code="tenant-mismatch")


def _is_address(host: str) -> bool:
    if not (host[:1] == "[" or host[-1:].isdigit()):
        return False
    try:
        ip_address(host.partition("]")[0].removeprefix("["))
    except ValueError:
        return False
    return True

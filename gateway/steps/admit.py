"""Step 10: the tenant's own rules: it is served while it is active, and to the addresses that it allows."""

from collections.abc import Awaitable

from gateway.exchange import Exchange
from gateway.tenants import Tenant, TenantDirectory, refuse_inactive
from libs.common.errors import Forbidden
from libs.common.ids import NIL


class Admit:
    """Looks the tenant up by its id; one that was looked up lately costs a look into a dictionary."""

    def __init__(self, directory: TenantDirectory) -> None:
        self._directory = directory

    def __call__(self, exchange: Exchange) -> Awaitable[None] | None:
        """Admits the request or refuses it."""
        principal = exchange.principal
        tenant_id = principal.tenant_id if principal is not None else exchange.tenant_id
        if tenant_id is None or tenant_id == NIL:
            return None
        tenant = self._directory.known(tenant_id)
        if tenant is None:
            return self._look_up(exchange, str(tenant_id))
        _check(exchange, tenant)
        return None

    async def _look_up(self, exchange: Exchange, tenant_id: str) -> None:
        tenant = await self._directory.find("id", tenant_id)
        if tenant is None:
            raise Forbidden("The organization does not exist any more.", code="tenant-inactive")
        _check(exchange, tenant)


def _check(exchange: Exchange, tenant: Tenant) -> None:
    if tenant.status != "active":
        refuse_inactive(tenant, exchange.route)
    if not tenant.allows(exchange.address):
        raise Forbidden("The organization does not allow this address.", code="address-not-allowed")

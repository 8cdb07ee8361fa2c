"""Step 11: rate limits, per tenant and principal, or address; on sign-in per address and account as well."""

import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from gateway.body import read_small
from gateway.exchange import Exchange
from gateway.limits.lease import Key, Limiter
from gateway.limits.policy import Policy
from gateway.limits.stores import Store
from gateway.route_table import Limit
from gateway.settings import Settings
from libs.common.errors import RateLimited

SIGN_IN_BODY = 64 * 1024


class Credentials(msgspec.Struct):
    """What of a sign-in's body names the account."""

    email: str | None = None
    mfa_token: str | None = None
    token: str | None = None


class RateLimit:
    """Takes one request from every quota that a request falls under, and tells of the one that is tightest."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], float]) -> None:
        def limiter(name: str, rate: float, burst: int) -> Limiter:
            return Limiter(Policy(name, rate, burst), store, clock)

        self._tenant = limiter("tenant", settings.limit_tenant_rate, settings.limit_tenant_burst)
        self._principal = limiter("principal", settings.limit_principal_rate, settings.limit_principal_burst)
        self._address = limiter("address", settings.limit_address_rate, settings.limit_address_burst)
        self._socket = limiter("socket", settings.limit_socket_rate, settings.limit_socket_burst)
        per_minute = settings.limit_sign_in_per_minute
        self._account = limiter("sign-in", per_minute / 60, per_minute)
        per_minute = settings.limit_sign_in_address_per_minute
        self._sign_in_address = limiter("sign-in-address", per_minute / 60, per_minute)

    def __call__(self, exchange: Exchange) -> Awaitable[None] | None:
        """Admits the request or refuses it; a principal within its leases does not wait."""
        principal = exchange.principal
        if principal is None:
            return self._admit_stranger(exchange)
        who, tenant = principal.id.int, principal.tenant_id.int
        left = self._principal.spend_at_once(who, exchange.started)
        if left is None:
            return self._admit(exchange, [(self._principal, who), (self._tenant, tenant)])
        if self._tenant.spend_at_once(tenant, exchange.started) is None:
            return self._admit(exchange, [(self._tenant, tenant)])
        exchange.answer_lines.append(self._principal.lines(left))
        return None

    async def _admit_stranger(self, exchange: Exchange) -> None:
        await self._admit(exchange, await self._quotas(exchange))

    async def _admit(self, exchange: Exchange, quotas: list[tuple[Limiter, Key]]) -> None:
        tightest, least, remaining = None, 2.0, 0
        for limiter, key in quotas:
            try:
                left = await limiter.spend(key)
            except RateLimited:
                exchange.answer_lines.append(limiter.lines(0))
                raise
            if left / limiter.policy.burst < least:
                tightest, least, remaining = limiter, left / limiter.policy.burst, left
        if tightest is not None:
            exchange.answer_lines.append(tightest.lines(remaining))

    async def _quotas(self, exchange: Exchange) -> list[tuple[Limiter, Key]]:
        assert exchange.route is not None
        if exchange.route.limit is Limit.SOCKET:
            return [(self._socket, exchange.address)]
        if exchange.route.limit is Limit.SIGN_IN and exchange.method == "POST":
            account = _account(await read_small(exchange, SIGN_IN_BODY))
            where = f"{exchange.address}:{exchange.tenant_id}"
            return [(self._sign_in_address, exchange.address), (self._account, f"{where}:{account}")]
        return [(self._address, exchange.address)]


def _account(body: bytes) -> str:
    try:
        credentials = msgspec.json.decode(body, type=Credentials)
    except msgspec.MsgspecError:
        return ""
    named = credentials.email or credentials.mfa_token or credentials.token or ""
    return hashlib.sha256(named.strip().lower().encode("utf-8", "replace")).hexdigest()[:32]

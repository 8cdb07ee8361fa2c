"""Step 12: how many requests the tenant's plan allows, a minute and a day (UTC), over all gateways.

A day's count is spent from leases as rate limits are, so at most one in a hundred more is let through, and what a
gateway leased and did not spend within a second counts as spent.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gateway.exchange import Exchange
from gateway.limits.lease import Limiter
from gateway.limits.policy import Policy
from gateway.limits.stores import Store
from gateway.tenants import Tenant, TenantDirectory
from libs.common.errors import RateLimited

MAX_POLICIES = 1000
DAYS = 100
Limiters = dict[tuple[str, int], Limiter]


class DayPolicy(Policy, frozen=True):
    """A count that does not come back but for one in `DAYS` a day; each day has its own key."""

    @property
    def lease(self) -> int:
        """A hundredth of it, and few enough that little is lost."""
        return max(1, min(100, self.burst // 100))


class Plan:
    """Refuses what is beyond a tenant's plan; for tenants without such limits it is a look into a dictionary."""

    def __init__(self, directory: TenantDirectory, store: Store, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        self._limiters: Limiters = {}

    def __call__(self, exchange: Exchange) -> Awaitable[None] | None:
        """Takes one request from what the plan allows."""
        principal = exchange.principal
        if principal is None:
            return None
        tenant = self._directory.known(principal.tenant_id)
        if tenant is None or (tenant.requests_per_minute is None and tenant.requests_per_day is None):
            return None
        return self._spend(tenant)

    async def _spend(self, tenant: Tenant) -> None:
        if (limit := tenant.requests_per_minute) is not None:
            limiter = self._limiter("requests_per_minute", limit)
            await self._take(limiter, tenant.id.int, "requests_per_minute", limit, None)
        if (limit := tenant.requests_per_day) is not None:
            now = datetime.now(UTC)
            midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
            limiter = self._limiter("requests_per_day", limit)
            key = f"{tenant.id}:{now:%Y%m%d}"
            await self._take(limiter, key, "requests_per_day", limit, (midnight - now).total_seconds())

    async def _take(self, limiter: Limiter, key: int | str, name: str, limit: int, wait: float | None) -> None:
        try:
            if limit > 0:
                await limiter.spend(key)
                return
        except RateLimited as error:
            wait = error.retry_after if wait is None else wait
        raise RateLimited(
            f"The organization's plan allows {limit} {name.replace('_', ' ')}", code="plan-limit-reached",
            retry_after=wait or 60.0, extra={"limit_name": name, "limit": limit, "current": limit},
        )  # fmt: skip

    def _limiter(self, name: str, limit: int) -> Limiter:
        limiter = self._limiters.get((name, limit))
        if limiter is None:
            if len(self._limiters) >= MAX_POLICIES:
                self._limiters.clear()
            limiter = self._limiters[name, limit] = Limiter(_policy(name, limit), self._store, self._clock)
        return limiter


def _policy(name: str, limit: int) -> Policy:
    if name == "requests_per_minute":
        return Policy(f"plan-minute-{limit}", max(limit, 1) / 60, max(limit, 1))
    return DayPolicy(f"plan-day-{limit}", max(limit, 1) / (DAYS * 86400), max(limit, 1))

"""Spends leased requests locally.

The bound that holds across gateways: a request is only admitted out of a lease, and a lease is only given out of the
one quota in Redis. So within any time `t` all gateways together admit at most `burst + rate · t` requests that were
leased in it, and what was leased before: at most `lease` per gateway, not older than `LEASE_SECONDS`. What a gateway
does not spend in that time is forfeited. Leases start at one and double while they are used up in time.
"""

import asyncio
import math
from collections.abc import Callable, Hashable

from gateway.limits.policy import Policy
from gateway.limits.stores import Store
from libs.common.errors import RateLimited

LEASE_SECONDS = 1.0
CAPACITY = 20_000


class Lease:
    """What one gateway holds of one quota."""

    __slots__ = ("denied_until", "expires", "remaining", "renewal", "size", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.expires = 0.0
        self.remaining = 0
        self.size = 0
        self.denied_until = 0.0
        self.renewal: asyncio.Future[None] | None = None

    def take(self) -> int:
        """Takes one request out; returns how many remain of the quota, as far as is known here."""
        self.tokens -= 1
        return self.remaining + self.tokens


class Limiter:
    """Admits requests under one policy, by key."""

    def __init__(self, policy: Policy, store: Store, clock: Callable[[], float]) -> None:
        self.policy = policy
        self.header = policy.header
        self._name = f'"{policy.name}"'.encode()
        self._store = store
        self._clock = clock
        self._leases: dict[Hashable, Lease] = {}

    def holds(self, key: Hashable) -> Lease | None:
        """The lease of a key, if a request can be taken out of it without waiting."""
        lease = self._leases.get(key)
        return lease if lease is not None and lease.tokens > 0 and lease.expires >= self._clock() else None

    async def spend(self, key: Hashable) -> int:
        """Takes one request from the key's quota and returns how many remain; none left is `RateLimited`."""
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = Lease()
            self._bound()
        while lease.tokens <= 0 or lease.expires < self._clock():
            self._refuse(lease)
            await self._renew(key, lease)
        return lease.take()

    def state(self, remaining: int) -> bytes:
        """The item of the `RateLimit` header: what remains, and the seconds until all of it is there again."""
        reset = math.ceil((self.policy.burst - remaining) / self.policy.rate)
        return self._name + b";r=%d;t=%d" % (remaining, reset)

    def _refuse(self, lease: Lease) -> None:
        wait = lease.denied_until - self._clock()
        if wait > 0:
            raise RateLimited(f"The limit '{self.policy.name}' is used up.", retry_after=wait)

    async def _renew(self, key: Hashable, lease: Lease) -> None:
        if lease.renewal is not None:
            await asyncio.shield(lease.renewal)
            return
        lease.renewal = asyncio.get_running_loop().create_future()
        try:
            await self._lease(key, lease)
        finally:
            lease.renewal.set_result(None)
            lease.renewal = None

    async def _lease(self, key: Hashable, lease: Lease) -> None:
        used_up = lease.tokens <= 0 and lease.expires >= self._clock()
        lease.size = min(max(1, lease.size * 2), self.policy.lease) if used_up else 1
        granted, lease.remaining, wait = await self._store.take(self.policy, f"{self.policy.name}:{key}", lease.size)
        lease.tokens = granted
        lease.expires = self._clock() + LEASE_SECONDS
        lease.denied_until = 0.0 if granted else self._clock() + max(wait, 0.001)

    def _bound(self) -> None:
        """Forgets the oldest key; what it had leased is forfeited."""
        if len(self._leases) > CAPACITY:
            del self._leases[next(iter(self._leases))]

"""Spends leased requests locally.

The bound that holds across gateways: a request is only admitted out of a lease, and a lease is only given out of the
one quota in Redis. So within any time `t` all gateways together admit at most `burst + rate · t` requests that were
leased in it, and what was leased before: at most `lease` per gateway. What a gateway does not spend within
`LEASE_SECONDS` is forfeited. Leases start at one and double while they are used up in time; a large one is filled up
before it is empty, so that no request waits for Redis.
"""

import asyncio
from collections.abc import Callable, Hashable
from math import ceil
from uuid import UUID

from gateway.limits.policy import Policy
from gateway.limits.stores import Store
from libs.common.errors import RateLimited

LEASE_SECONDS = 1.0
CAPACITY = 20_000

Key = Hashable  # an id is given as its integer, which is hashed and compared without a call into Python


class Lease:
    """What one gateway holds of one quota: `tokens` are spent first, below `low` more are asked for."""

    __slots__ = ("denied_until", "expires", "low", "remaining", "renewal", "size", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.low = 0
        self.expires = 0.0
        self.remaining = 0
        self.size = 0
        self.denied_until = 0.0
        self.renewal: asyncio.Task[None] | None = None


class Limiter:
    """Admits requests under one policy, by key."""

    def __init__(self, policy: Policy, store: Store, clock: Callable[[], float]) -> None:
        self.policy = policy
        self._line = b'ratelimit-policy: %b\r\nratelimit: "%b";r=%%d;t=%%d\r\n' % (policy.header, policy.name.encode())
        self._store = store
        self._clock = clock
        self._leases: dict[Key, Lease] = {}

    def spend_at_once(self, key: Key, now: float) -> int | None:
        """Takes one request if the key's lease holds one; returns how many remain, as far as is known here."""
        lease = self._leases.get(key)
        if lease is None or lease.tokens <= 0 or lease.expires < now:
            return None
        return self._take(key, lease)

    def _take(self, key: Key, lease: Lease) -> int:
        lease.tokens -= 1
        if lease.tokens < lease.low and lease.renewal is None:
            self._renew(key, lease)
        return lease.remaining + lease.tokens

    async def spend(self, key: Key) -> int:
        """Takes one request from the key's quota and returns how many remain; none left is `RateLimited`."""
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = Lease()
            self._bound()
        while lease.tokens <= 0 or lease.expires < self._clock():
            self._refuse(lease)
            await asyncio.shield(lease.renewal or self._renew(key, lease))
        return self._take(key, lease)

    def lines(self, remaining: int) -> bytes:
        """The header lines that tell the policy, what remains, and the seconds until all of it is there again."""
        policy = self.policy
        return self._line % (remaining, ceil((policy.burst - remaining) / policy.rate))

    def _refuse(self, lease: Lease) -> None:
        wait = lease.denied_until - self._clock()
        if wait > 0:
            raise RateLimited(f"The limit '{self.policy.name}' is used up.", retry_after=wait)

    def _renew(self, key: Key, lease: Lease) -> asyncio.Task[None]:
        lease.renewal = asyncio.get_running_loop().create_task(self._fill(key, lease))
        return lease.renewal

    async def _fill(self, key: Key, lease: Lease) -> None:
        try:
            if lease.expires < self._clock():
                lease.tokens, lease.size = 0, 0
            lease.size = min(max(1, lease.size * 2), self.policy.lease)
            lease.low = lease.size // 3
            await self._ask(key, lease)
        finally:
            lease.renewal = None

    async def _ask(self, key: Key, lease: Lease) -> None:
        name = UUID(int=key) if isinstance(key, int) else key
        want = lease.size - lease.tokens
        granted, lease.remaining, wait = await self._store.take(self.policy, f"{self.policy.name}:{name}", want)
        lease.tokens += granted
        if granted < want:
            lease.low = 0
        if granted:
            lease.expires = self._clock() + LEASE_SECONDS
        else:
            lease.denied_until = self._clock() + max(wait, 0.001)

    def _bound(self) -> None:
        """Forgets the oldest key; what it had leased is forfeited."""
        if len(self._leases) > CAPACITY:
            del self._leases[next(iter(self._leases))]

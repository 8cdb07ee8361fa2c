"""Lockout after wrong passwords and codes: some attempts are free, then each costs twice the wait of the one before.

What is counted is what was typed, whether or not there is such an account, so that the answer tells nothing about it.
An account is slowed much earlier for the address that guesses than for all others, so that nobody locks its owner out.
"""

import hashlib
from uuid import UUID

import msgspec

REMEMBER_SECONDS = 12 * 3600


class Policy(msgspec.Struct, frozen=True):
    """How many failures are free, and how many seconds one waits at most."""

    name: str
    free: int
    longest: float

    def wait(self, failures: int) -> float:
        """Seconds until the next attempt, after so many failures in a row."""
        beyond = failures - self.free
        return 0.0 if beyond <= 0 else min(self.longest, 2.0 ** min(beyond - 1, 32))


ACCOUNT_FROM_ADDRESS = Policy("account-address", free=5, longest=900)
ACCOUNT = Policy("account", free=50, longest=60)
ADDRESS = Policy("address", free=100, longest=900)
CODE = Policy("code", free=5, longest=900)


class Counter(msgspec.Struct, frozen=True):
    """What failures are counted by, under a policy; `cleared` when an attempt succeeds."""

    policy: Policy
    key: str
    cleared: bool = True


def of_account(tenant_id: UUID, account: str, address: str | None) -> list[Counter]:
    """The counters of a sign-in to an account, whose name is as it was typed and normalized."""
    counters = [_counter(ACCOUNT, tenant_id, account)]
    if address is not None:
        counters.append(_counter(ACCOUNT_FROM_ADDRESS, tenant_id, account, address))
        counters.append(msgspec.structs.replace(_counter(ADDRESS, tenant_id, address), cleared=False))
    return counters


def of_codes(tenant_id: UUID, user_id: UUID) -> list[Counter]:
    """The counter of a user's one-time codes."""
    return [_counter(CODE, tenant_id, str(user_id))]


def _counter(policy: Policy, tenant_id: UUID, *parts: str) -> Counter:
    return Counter(policy, f"auth:attempts:{policy.name}:{_digest(str(tenant_id), *parts)}")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]

"""Sessions and the refresh tokens that keep them going.

Tokens rotate (RFC 9700 §4.14.2). A token that was used already is taken for some seconds more, because tabs refresh in
parallel and answers get lost: it gives a sibling of its successor. Later it tells of a theft and ends the session.
"""

from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Literal
from uuid import UUID

import msgspec

from libs.common.errors import Unauthenticated
from services.auth.domain import opaque

GRACE = timedelta(seconds=10)
MAX_SESSIONS_OF_USER = 100

_PREFIX = "mrt_"

Verdict = Literal["good", "expired", "reused"]


class Client(msgspec.Struct, frozen=True):
    """Where a request comes from, as far as it tells."""

    address: str | None
    user_agent: str | None


class Seen(msgspec.Struct, frozen=True):
    """From where a user signed in before, as far as that is kept: this device, and which addresses.

    Where it is `crowded` some of those sessions are over, or too many.
    """

    device: bool
    addresses: tuple[str, ...]
    crowded: bool = False

    def familiar(self, client: Client) -> bool:
        """Whether a sign-in needs no mention: it is the first, or from a device and a network that were seen before."""
        if not self.addresses or (self.device and client.address in self.addresses):
            return True
        network = _network(client.address)
        return self.device and any(_network(address) == network for address in self.addresses)


class Session(msgspec.Struct, frozen=True):
    """One sign-in of a user, on one device; `mfa` when it was by two factors; or of one who acts in their name."""

    id: UUID
    user_id: UUID
    user_agent: str | None
    address: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    mfa: bool
    actor_id: UUID | None = None
    actor_name: str | None = None
    reason: str | None = None


class Lifetimes(msgspec.Struct, frozen=True):
    """How long things last: `session` at most, `refresh_token` without use, `access_token` always."""

    access_token: timedelta
    refresh_token: timedelta
    session: timedelta

    def of_refresh_token(self, now: datetime, session_end: datetime) -> datetime:
        """When a refresh token made now ends."""
        return min(session_end, now + self.refresh_token)


def _network(address: str | None) -> str | None:
    """What stays the same while a device roams: 24 bits of an IPv4 address, 48 of an IPv6 address."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return address
    return str(ip_network((found, 24 if found.version == 4 else 48), strict=False))


def make_refresh_token(tenant_id: UUID) -> tuple[str, bytes]:
    """A new refresh token, and the hash that is kept of it."""
    return opaque.make(_PREFIX, tenant_id)


def read_refresh_token(token: str) -> tuple[UUID, bytes]:
    """The tenant and the hash of a refresh token; what is none is refused."""
    found = opaque.read(_PREFIX, token)
    if found is None:
        raise bad_token()
    return found


def judge(used_at: datetime | None, expires_at: datetime, now: datetime) -> Verdict:
    """What a known refresh token is worth."""
    if expires_at <= now:
        return "expired"
    if used_at is not None and used_at + GRACE < now:
        return "reused"
    return "good"


def bad_token() -> Unauthenticated:
    """The one answer to a refresh token that is not good, whatever is wrong with it."""
    return Unauthenticated("The refresh token is not valid; sign in again", code="invalid-refresh-token")

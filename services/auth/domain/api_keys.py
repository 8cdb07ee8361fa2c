"""API keys of people, and devices: machines that sign in by a secret of their own.

A key may do what its roles give, which is no more than its maker had. An API key ends with its maker's account, or when
its maker may do less than the key; a device belongs to the organization and stays.
"""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Unauthenticated
from services.auth.domain import opaque

PREFIX = "mlr_"
SHOWN = len(PREFIX) + 22 + 6
MAX_KEYS_OF_USER = 100
MAX_DEVICES = 10_000
TOKEN_LIFE = timedelta(minutes=5)

Kind = Literal["api_key", "device"]


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is told of later: of its secret only `prefix`, by which people tell keys apart."""

    id: UUID
    kind: Kind
    name: str
    prefix: str
    roles: tuple[UUID, ...]
    created_by: UUID
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_address: str | None


def make_secret(tenant_id: UUID) -> tuple[str, bytes]:
    """A new secret, and the hash that is kept of it."""
    return opaque.make(PREFIX, tenant_id)


def read_secret(secret: str) -> tuple[UUID, bytes]:
    """The tenant and the hash of a secret; what is none is refused."""
    found = opaque.read(PREFIX, secret)
    if found is None:
        raise bad_key()
    return found


def shown(secret: str) -> str:
    """What is kept of a secret to tell it by: its beginning, with six characters of the random part."""
    return secret[:SHOWN]


def check_expiry(expires_at: datetime | None, now: datetime) -> list[Fault]:
    """Faults of a key's end."""
    if expires_at is None or expires_at > now:
        return []
    return [Fault("/expires_at", "in_the_past", "A time in the future is expected")]


def token_life(key: ApiKey, now: datetime) -> timedelta:
    """How long a token lives that is given for a key: some minutes, and no longer than the key."""
    return TOKEN_LIFE if key.expires_at is None else min(TOKEN_LIFE, key.expires_at - now)


def bad_key() -> Unauthenticated:
    """The one answer to a key that is not good, whatever is wrong with it."""
    return Unauthenticated("The API key is not valid", code="invalid-api-key")

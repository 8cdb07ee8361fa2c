"""Opaque secrets: a prefix that scanners know, then the tenant's id and 256 random bits. Only a hash of them is kept.

The tenant is in clear, so that a secret is looked up within its tenant. A plain SHA-256 serves as the hash, because
what is hashed cannot be guessed.
"""

import base64
import binascii
import hashlib
import secrets
from uuid import UUID

_SECRET_BYTES = 32
_RAW_BYTES = 16 + _SECRET_BYTES


def make(prefix: str, tenant_id: UUID) -> tuple[str, bytes]:
    """A new secret, and the hash that is kept of it."""
    raw = tenant_id.bytes + secrets.token_bytes(_SECRET_BYTES)
    return prefix + base64.urlsafe_b64encode(raw).decode().rstrip("="), hashlib.sha256(raw).digest()


def read(prefix: str, secret: str) -> tuple[UUID, bytes] | None:
    """The tenant and the hash of a secret; None for what is none of this prefix."""
    if not secret.startswith(prefix):
        return None
    try:
        raw = base64.urlsafe_b64decode(secret.removeprefix(prefix) + "=")
    except (ValueError, binascii.Error):
        return None
    return (UUID(bytes=raw[:16]), hashlib.sha256(raw).digest()) if len(raw) == _RAW_BYTES else None

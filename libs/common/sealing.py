"""Keeping secrets with one secret that is not in the database: encrypted with AES-GCM, or hashed with HMAC-SHA-256.

Each purpose has a key of its own (HKDF, RFC 5869), and what is sealed is bound to what it belongs to.
"""

import hmac
import secrets
from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.common.errors import Unavailable
from libs.common.ids import NIL

_NONCE_BYTES = 12
# Of another secret, or too short to be of any.
_UNREADABLE = (InvalidTag, ValueError)


class Seal:
    """Seals and opens for one purpose. `variable` is where the secret was given, for who has to mend it.

    A secret of several lines is several secrets: the first seals, and what any of them has sealed is opened, so that
    one takes the place of another without an outage.
    """

    def __init__(self, secret: str, purpose: str, variable: str = "SIGNING_KEY_SECRET") -> None:
        self._purpose = purpose
        self._variable = variable
        info = f"millrace {purpose}".encode()
        lines = [line for line in secret.splitlines() if line.strip()] or [secret]
        self._keys = [HKDF(SHA256(), 32, salt=None, info=info).derive(line.encode()) for line in lines]
        self._ciphers = [AESGCM(key) for key in self._keys]

    def close(self, plain: bytes, bound: bytes) -> bytes:
        """What is kept instead of the secret."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, plain, bound)

    def reseal(self, sealed: bytes, bound: bytes) -> bytes | None:
        """What is to be kept instead of what an older secret has sealed; None where the newest has."""
        with suppress(*_UNREADABLE):
            self._ciphers[0].decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
            return None
        return self.close(self.open(sealed, bound), bound)

    @property
    def older(self) -> list[bytes]:
        """The keys of older secrets, to be kept where what they have hashed is to be known without the secrets."""
        return self._keys[1:]

    def remember(self, key: bytes) -> None:
        """Knows and opens from now on what a key has hashed and sealed whose secret is gone."""
        if key not in self._keys:
            self._keys.append(key)
            self._ciphers.append(AESGCM(key))

    @property
    def mark(self) -> str:
        """By which the newest secrets of two processes can be told apart."""
        return self.digest(b"mark").hex()[:8]

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """The secret again."""
        for cipher in self._ciphers:
            with suppress(*_UNREADABLE):
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
        detail = f"The {self._purpose} were encrypted with another {self._variable}"
        raise Unavailable(detail, code=f"{self._purpose.replace(' ', '-')}-unreadable")

    def digest(self, plain: bytes) -> bytes:
        """A hash that cannot be searched for without the secret."""
        return hmac.digest(self._keys[0], plain, "sha256")

    def digests(self, plain: bytes) -> tuple[bytes, ...]:
        """The hashes that it may have been kept as, the newest first."""
        return tuple(hmac.digest(key, plain, "sha256") for key in self._keys)


class Sealed(msgspec.Struct, frozen=True):
    """A secret as a tenant's row keeps it, bound to the id of the row."""

    tenant_id: UUID
    id: UUID
    secret: bytes


class After(msgspec.Struct, frozen=True):
    """Up to where a service has gone through its tables, in its own order of them."""

    table: int = 0
    tenant_id: UUID = NIL
    id: UUID = NIL


class Resealed(msgspec.Struct, frozen=True):
    """How many were sealed anew in a batch and how many no secret opens, the mark of the secret that seals, and where
    to go on; null at the end.
    """

    resealed: int
    unreadable: int
    mark: str
    after: After | None


START = After()


def anew(seal: Seal, found: Iterable[Sealed]) -> tuple[list[Sealed], int]:
    """Those that an older secret has sealed, sealed with the newest, and how many cannot be opened."""
    changed, unreadable = [], 0
    for it in found:
        try:
            secret = seal.reseal(it.secret, it.id.bytes)
        except Unavailable:
            unreadable += 1
        else:
            if secret is not None:
                changed.append(msgspec.structs.replace(it, secret=secret))
    return changed, unreadable

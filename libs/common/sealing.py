"""Keeping secrets with one secret that is not in the database: encrypted with AES-GCM, or hashed with HMAC-SHA-256.

Each purpose has a key of its own (HKDF, RFC 5869), and what is sealed is bound to what it belongs to.
"""

import hmac
import secrets
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.common.errors import Unavailable

_NONCE_BYTES = 12


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

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """The secret again."""
        for cipher in self._ciphers:
            with suppress(InvalidTag):
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
        detail = f"The {self._purpose} were encrypted with another {self._variable}"
        raise Unavailable(detail, code=f"{self._purpose.replace(' ', '-')}-unreadable")

    def digest(self, plain: bytes) -> bytes:
        """A hash that cannot be searched for without the secret."""
        return hmac.digest(self._keys[0], plain, "sha256")

    def digests(self, plain: bytes) -> tuple[bytes, ...]:
        """The hashes that it may have been kept as, the newest first."""
        return tuple(hmac.digest(key, plain, "sha256") for key in self._keys)

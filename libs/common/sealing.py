"""Keeping secrets with one secret that is not in the database: encrypted with AES-GCM, or hashed with HMAC-SHA-256.

Each purpose has a key of its own (HKDF, RFC 5869), and what is sealed is bound to what it belongs to.
"""

import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.common.errors import Unavailable

_NONCE_BYTES = 12


class Seal:
    """Seals and opens for one purpose. `variable` is where the secret was given, for who has to mend it."""

    def __init__(self, secret: str, purpose: str, variable: str = "SIGNING_KEY_SECRET") -> None:
        self._purpose = purpose
        self._variable = variable
        self._key = HKDF(SHA256(), 32, salt=None, info=f"millrace {purpose}".encode()).derive(secret.encode())
        self._cipher = AESGCM(self._key)

    def close(self, plain: bytes, bound: bytes) -> bytes:
        """What is kept instead of the secret."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """The secret again."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
        except InvalidTag:
            detail = f"The {self._purpose} were encrypted with another {self._variable}"
            raise Unavailable(detail, code=f"{self._purpose.replace(' ', '-')}-unreadable") from None

    def digest(self, plain: bytes) -> bytes:
        """A hash that cannot be searched for without the secret."""
        return hmac.digest(self._key, plain, "sha256")

"""Signing keys: Ed25519 (RFC 8032, RFC 8037), named by their thumbprint (RFC 7638), encrypted at rest."""

import base64
import hashlib

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.auth.domain.sealing import Seal

ALGORITHM = "EdDSA"
_JWS = jwt.PyJWS()


class Jwk(msgspec.Struct, frozen=True):
    """A public key (RFC 7517)."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = ALGORITHM
    use: str = "sig"


class NewKey(msgspec.Struct, frozen=True):
    """A key as it is kept."""

    kid: str
    public_key: bytes
    private_key: bytes


class Vault:
    """Encrypts private keys; the id of a key is bound to what is encrypted."""

    def __init__(self, secret: str) -> None:
        self._seal = Seal(secret, "signing keys")

    def make(self) -> NewKey:
        """A new key."""
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        kid = _thumbprint(public)
        return NewKey(kid, public, self._seal.close(private.private_bytes_raw(), kid.encode()))

    def reseal(self, kid: str, sealed: bytes) -> bytes | None:
        """What to keep instead, where an older secret has sealed it."""
        return self._seal.reseal(sealed, kid.encode())

    def open(self, kid: str, sealed: bytes) -> Ed25519PrivateKey:
        """The private key again."""
        return Ed25519PrivateKey.from_private_bytes(self._seal.open(sealed, kid.encode()))


class Signer:
    """Signs access tokens with one key."""

    def __init__(self, kid: str, key: Ed25519PrivateKey) -> None:
        self.kid = kid
        self._key = key

    def sign(self, claims: msgspec.Struct) -> str:
        """The compact form of a token."""
        return _JWS.encode(msgspec.json.encode(claims), self._key, ALGORITHM, headers={"kid": self.kid})

    def sign_document(self, document: bytes) -> str:
        """A document with its signature (JWS, RFC 7515), whose type no verifier of tokens takes."""
        headers = {"kid": self.kid, "typ": "millrace-report+jws"}
        return _JWS.encode(document, self._key, ALGORITHM, headers=headers)


def jwk(kid: str, public_key: bytes) -> Jwk:
    """The published form of a key."""
    return Jwk(kid, _base64(public_key))


def _thumbprint(public_key: bytes) -> str:
    document = {"crv": "Ed25519", "kty": "OKP", "x": _base64(public_key)}
    return _base64(hashlib.sha256(msgspec.json.encode(document)).digest())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

"""A software authenticator (WebAuthn Level 3 §6) with an ES256 key, and a browser in front of it."""

import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.auth.support import Tenant

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def encode(raw: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Authenticator:
    """One credential, made for one host. `verifies` tells that it asks its user for a finger or a PIN."""

    verifies: bool = True
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    user_handle: bytes = b""
    count: int = 0

    def create(self, options: dict[str, Any], origin: str) -> dict[str, Any]:
        """The answer to `navigator.credentials.create()`."""
        self.user_handle = urlsafe_b64decode(options["user"]["id"] + "==")
        client = self._client_data("webauthn.create", options["challenge"], origin)
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + self._public_key()
        data = self._data(options["rp"]["id"], ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer({"clientDataJSON": encode(client), "attestationObject": encode(attestation)})

    def get(self, options: dict[str, Any], origin: str) -> dict[str, Any]:
        """The answer to `navigator.credentials.get()`."""
        self.count += 1
        client = self._client_data("webauthn.get", options["challenge"], origin)
        data = self._data(options["rpId"], 0)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer({
            "clientDataJSON": encode(client), "authenticatorData": encode(data), "signature": encode(signature),
            "userHandle": encode(self.user_handle),
        })  # fmt: skip

    def _answer(self, response: dict[str, str]) -> dict[str, Any]:
        raw = encode(self.credential_id)
        return {"id": raw, "rawId": raw, "type": "public-key", "response": response, "clientExtensionResults": {}}

    def _client_data(self, kind: str, challenge: str, origin: str) -> bytes:
        return msgspec.json.encode({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False})

    def _data(self, rp_id: str, flags: int) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _public_key(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})


@dataclass
class Browser:
    """A browser at a tenant's host, with an authenticator."""

    tenant: Tenant
    authenticator: Authenticator = field(default_factory=Authenticator)
    host: str = "acme.example.com"

    @property
    def origin(self) -> str:
        """The origin of its page."""
        return f"https://{self.host}"

    async def ask(self, path: str, body: object = None, token: str | None = None) -> httpx.Response:
        """A POST from that page."""
        headers = {
            "x-forwarded-host": self.host, "x-forwarded-proto": "https", "x-millrace-tenant": str(self.tenant.id),
        }  # fmt: skip
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        return await self.tenant.http.post(f"/api/v1{path}", json=body, headers=headers)

    async def register(self, token: str | None = None) -> httpx.Response:
        """Makes a passkey for who has the token, the owner unless another is given."""
        token = token or str(self.tenant.told["access_token"])
        asked = (await self.ask("/passkeys/options", token=token)).json()
        credential = self.authenticator.create(asked["options"], self.origin)
        body = {"token": asked["token"], "credential": credential, "name": "Laptop"}
        return await self.ask("/passkeys", body, token)

    async def answer(self) -> dict[str, Any]:
        """What it would sign in with: the token and the authenticator's answer."""
        asked = (await self.ask("/auth/passkeys/options")).json()
        return {"token": asked["token"], "credential": self.authenticator.get(asked["options"], self.origin)}

    async def sign_in(self) -> httpx.Response:
        """Signs in."""
        return await self.ask("/auth/passkeys/verify", await self.answer())

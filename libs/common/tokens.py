"""Access tokens: JSON Web Tokens signed with Ed25519 (RFC 7519, RFC 8037), verified by a cached key set (RFC 7517)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import msgspec

from libs.common.errors import Unauthenticated
from libs.common.identity import AUDIENCE, ISSUER, Claims, Principal

ALGORITHM = "EdDSA"
CACHED_TOKENS = 20_000
REFRESH_SECONDS = 3.0
MAX_TOKEN_LENGTH = 8192

Fetch = Callable[[], Awaitable[list[dict[str, Any]]]]


class KeySet:
    """Public keys by `kid`, fetched when first needed and again on an unknown `kid`, at most once in three seconds."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._lock = asyncio.Lock()

    async def get(self, kid: str) -> jwt.PyJWK:
        """The key of that id; unknown is `Unauthenticated`."""
        if kid not in self._keys:
            await self._refresh(kid)
        if kid not in self._keys:
            raise Unauthenticated("The token is signed with a key that is not known here", code="invalid-token")
        return self._keys[kid]

    async def refresh(self) -> None:
        """Fetches the keys anew; those that were withdrawn are forgotten."""
        documents = await self._fetch()
        keys = [jwt.PyJWK(document) for document in documents if document.get("alg") == ALGORITHM]
        self._keys = {key.key_id: key for key in keys if key.key_id}
        self._fetched = time.monotonic()

    async def _refresh(self, kid: str) -> None:
        async with self._lock:
            if kid not in self._keys and time.monotonic() - self._fetched > REFRESH_SECONDS:
                await self.refresh()


class TokenVerifier:
    """Verifies access tokens; a verified one is remembered until it expires."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys
        self._verified: dict[str, Principal] = {}

    def cached(self, token: str) -> Principal | None:
        """The principal of a token that was verified before and has not expired."""
        principal = self._verified.get(token)
        if principal is None:
            return None
        if principal.expires_at <= time.time():
            del self._verified[token]
            return None
        return principal

    async def verify(self, token: str) -> Principal:
        """The principal of a token; anything wrong with it is `Unauthenticated`."""
        if (known := self.cached(token)) is not None:
            return known
        principal = await self._check(token)
        if len(self._verified) >= CACHED_TOKENS:
            self._verified.pop(next(iter(self._verified)))
        self._verified[token] = principal
        return principal

    def forget(self) -> None:
        """Forgets every verified token, after keys have changed."""
        self._verified.clear()

    async def _check(self, token: str) -> Principal:
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("The token is too long", code="invalid-token")
        try:
            header = jwt.get_unverified_header(token)
            key = await self.keys.get(str(header.get("kid", "")))
            payload = jwt.decode(
                token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, leeway=2,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )  # fmt: skip
            return msgspec.convert(payload, Claims).principal(token)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired", code="token-expired") from None
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError):
            raise Unauthenticated("The token is not valid", code="invalid-token") from None


def bearer(authorization: str | None) -> str:
    """The token of an `Authorization: Bearer …` header."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated
    return token.strip()

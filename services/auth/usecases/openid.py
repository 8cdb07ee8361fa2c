"""What is asked of OpenID providers: their metadata and keys, which are kept for a while, and tokens for a code.

Each question is made outside of transactions, and bounded (`libs.common.outward`).
"""

import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode

import jwt
import msgspec

from libs.common.errors import Unavailable
from libs.common.outward import Outward
from services.auth.domain.sso import Algorithm, Configuration, Flow, refused

METADATA_SECONDS = 3600.0
# An unknown key is asked for at most this often, and a provider that failed is asked again after it.
PAUSE_SECONDS = 10.0
MAX_ISSUERS = 1000
MAX_KEYS = 100

T = TypeVar("T")


class Metadata(msgspec.Struct, frozen=True):
    """What is needed of a provider's metadata (OpenID Connect Discovery 1.0 §3, RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Tokens(msgspec.Struct, frozen=True):
    """What a provider gives for a code."""

    id_token: str
    access_token: str | None = None


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _Known:
    """What is known of one issuer."""

    def __init__(self) -> None:
        self.metadata: Metadata | None = None
        self.metadata_at = float("-inf")
        self.failed_at = float("-inf")
        self.keys: list[dict[str, Any]] = []
        self.keys_at = float("-inf")


class OpenId:
    """Asks providers, and remembers their metadata and keys by issuer."""

    def __init__(self, outward: Outward) -> None:
        self.outward = outward
        self._issuers: dict[str, _Known] = {}

    async def metadata(self, issuer: str) -> Metadata:
        """A provider's metadata, at most an hour old; `Unavailable` where they are not to be had."""
        known = self._known(issuer)
        now = time.monotonic()
        if known.metadata is not None and now - known.metadata_at < METADATA_SECONDS:
            return known.metadata
        if now - known.failed_at < PAUSE_SECONDS:
            raise _away()
        try:
            known.metadata = await self._discover(issuer)
        except Unavailable:
            known.failed_at = time.monotonic()
            raise
        known.metadata_at = time.monotonic()
        return known.metadata

    def forget(self, issuer: str) -> None:
        """Asks anew the next time."""
        self._issuers.pop(issuer, None)

    async def key(self, metadata: Metadata, kid: str | None, algorithm: Algorithm) -> jwt.PyJWK:
        """The key of that id; without an id, the only one that fits. The keys are asked for again on an unknown id."""
        known = self._known(metadata.issuer)
        found = _find(known.keys, kid, algorithm)
        if found is None and time.monotonic() - known.keys_at >= PAUSE_SECONDS:
            known.keys_at = time.monotonic()
            answer = await self._get(metadata.jwks_uri, _Jwks)
            known.keys = answer.keys[:MAX_KEYS]
            found = _find(known.keys, kid, algorithm)
        if found is None:
            raise refused()
        return found

    async def redeem(self, metadata: Metadata, it: Configuration, secret: str | None, code: str, flow: Flow) -> Tokens:
        """Tokens for a code; one that the provider does not take is refused."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.verifier,
        }  # fmt: skip
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if secret is None:
            form["client_id"] = it.client_id
        elif "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(it.client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": it.client_id, "client_secret": secret}
        answer = await self.outward.fetch("POST", metadata.token_endpoint, headers, urlencode(form).encode())
        if answer.status >= 500:
            raise _away()
        if answer.status != 200:
            raise refused()
        return _decode(answer.body, Tokens)

    async def user_info(self, metadata: Metadata, access_token: str | None, subject: str) -> Mapping[str, Any]:
        """What else a provider tells of its subject (OpenID Connect Core 1.0 §5.3); nothing where it tells nothing."""
        if metadata.userinfo_endpoint is None or access_token is None:
            return {}
        headers = {"authorization": f"Bearer {access_token}", "accept": "application/json"}
        answer = await self.outward.fetch("GET", metadata.userinfo_endpoint, headers)
        if answer.status != 200:
            raise _away()
        told = _decode(answer.body, dict[str, Any])
        if told.get("sub") != subject:
            raise refused()
        return told

    async def _discover(self, issuer: str) -> Metadata:
        metadata = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", Metadata)
        endpoints = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
        if metadata.issuer != issuer or any(self.outward.check(url, "/") for url in endpoints):
            raise Unavailable("The provider's metadata are of another issuer", code="provider-metadata", retry_after=60)
        return metadata

    async def _get(self, url: str, type_: type[T]) -> T:
        answer = await self.outward.fetch("GET", url, {"accept": "application/json"})
        if answer.status != 200:
            raise _away()
        return _decode(answer.body, type_)

    def _known(self, issuer: str) -> _Known:
        if issuer not in self._issuers and len(self._issuers) >= MAX_ISSUERS:
            self._issuers.pop(next(iter(self._issuers)))
        return self._issuers.setdefault(issuer, _Known())


def _find(documents: list[dict[str, Any]], kid: str | None, algorithm: Algorithm) -> jwt.PyJWK | None:
    fitting = [it for it in documents if _fits(it, kid, algorithm)]
    if len(fitting) != 1:
        return None
    try:
        return jwt.PyJWK(fitting[0], algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None


def _fits(document: dict[str, Any], kid: str | None, algorithm: Algorithm) -> bool:
    kinds = {"R": "RSA", "P": "RSA", "E": "OKP" if algorithm == "EdDSA" else "EC"}
    return (
        document.get("kty") == kinds[algorithm[0]]
        and document.get("use", "sig") == "sig"
        and document.get("alg", algorithm) == algorithm
        and (kid is None or document.get("kid") == kid)
    )


def _decode(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unavailable("The provider's answer cannot be read", code="provider-answer", retry_after=10) from None


def _away() -> Unavailable:
    return Unavailable(
        "The identity provider does not answer as it should", code="provider-unavailable", retry_after=10
    )

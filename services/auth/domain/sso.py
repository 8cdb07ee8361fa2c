"""Signing in elsewhere: identity providers (OpenID Connect Core 1.0), what their word is worth, and to whom.

A provider vouches only for people of its e-mail domains, which are proven domains of the tenant, and only for what the
roles of who set it up give: otherwise who manages providers could come in as somebody who may do more.
"""

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import jwt
import msgspec

from libs.common.errors import Fault, Unauthenticated
from services.auth.domain import opaque, people

FLOW_LIFE = timedelta(minutes=10)
ARRIVAL_LIFE = timedelta(minutes=1)
MAX_PROVIDERS = 50
MAX_DOMAINS = 50
MAX_SCOPES = 20
MAX_MAPPED = 200
MAX_TEXT = 512
LEEWAY_SECONDS = 60
MAX_AGE_SECONDS = 600
MAX_TOKEN = 64 * 1024

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

Kind = Literal["oidc", "saml"]

_STATE = "mss_"
_ARRIVAL = "msa_"
_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}
# What RFC 8176 names of two factors, or of one that stands for two.
_TWO_FACTORS = frozenset(("mfa", "mca", "hwk", "otp"))


class Configuration(msgspec.Struct, frozen=True):
    """What a provider is told to be. `maker_roles` are those of who set it up last; roles are given by id.

    A SAML provider has its entity id as `issuer`, and no client; what comes after `maker_roles` but `kind` is of SAML
    alone. Without `email_attribute` the subject's name is the address.
    """

    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    algorithm: Algorithm
    email_domains: tuple[str, ...]
    provision: bool
    default_roles: tuple[UUID, ...]
    role_claim: str | None
    role_mapping: dict[str, UUID]
    trusts_mfa: bool
    maker_roles: tuple[UUID, ...]
    kind: Kind = "oidc"
    sso_url: str = ""
    certificates: tuple[str, ...] = ()
    email_attribute: str | None = None
    name_attribute: str | None = None


class Provider(msgspec.Struct, frozen=True):
    """An identity provider; its secret is kept apart."""

    id: UUID
    name: str
    enabled: bool
    configuration: Configuration
    created_at: datetime
    updated_at: datetime


class Flow(msgspec.Struct, frozen=True):
    """A sign-in under way. One by SAML has the id of its request as `nonce`, and no verifier."""

    provider_id: UUID
    nonce: str
    verifier: str
    redirect_uri: str
    return_to: str | None


class Vouched(msgspec.Struct, frozen=True):
    """Whom a provider speaks of; `email` only where it says that it has verified the address."""

    subject: str
    email: str | None
    name: str | None
    claimed: tuple[str, ...]
    mfa: bool


def check(configuration: Configuration, proven: Collection[str], *, enabled: bool = True) -> list[Fault]:
    """Faults of a configuration, given the proven domains of the tenant; roles and the issuer are judged elsewhere."""
    it = configuration
    faults = [
        Fault(f"/email_domains/{index}", "domain_not_proven", "Prove the domain first: /organizations/current/domains")
        for index, domain in enumerate(it.email_domains)
        if domain not in proven
    ]
    if enabled and not it.email_domains:
        faults.append(Fault("/email_domains", "required", "At least one domain is expected"))
    texts = {}
    if it.kind == "oidc":
        texts = {"client_id": it.client_id, **{f"scopes/{index}": scope for index, scope in enumerate(it.scopes)}}
        if "openid" not in it.scopes:
            faults.append(Fault("/scopes", "required", "'openid' is one of the scopes"))
    texts |= {"role_claim": it.role_claim} if it.role_claim is not None else {}
    faults += [
        Fault(f"/{name}", "invalid_text", "Printable characters without spaces are expected")
        for name, text in texts.items()
        if not text or not text.isascii() or not text.isprintable() or " " in text or len(text) > MAX_TEXT
    ]
    if it.role_mapping and it.role_claim is None:
        faults.append(Fault("/role_claim", "required", "A mapping needs the claim that it maps"))
    bounds = {"email_domains": MAX_DOMAINS, "scopes": MAX_SCOPES, "role_mapping": MAX_MAPPED}
    for name, most in bounds.items():
        if len(getattr(it, name)) > most:
            faults.append(Fault(f"/{name}", "too_many", f"At most {most} are taken"))
    return faults


def check_return(path: str | None) -> list[Fault]:
    """Faults of where a sign-in is to end: a path of the same host, so that nobody is sent elsewhere."""
    if path is None:
        return []
    plain = path.isascii() and path.isprintable() and " " not in path and "\\" not in path and len(path) <= MAX_TEXT
    if plain and path.startswith("/") and not path.startswith("//") and not any(urlsplit(path)[:2]):
        return []
    return [Fault("/return_to", "not_a_path", "A path such as '/deals' of the organization's own host is expected")]


def make_state(tenant_id: UUID) -> tuple[str, bytes]:
    """What goes to the provider and comes back, and the hash that is kept of it."""
    return opaque.make(_STATE, tenant_id)


def read_state(state: str) -> tuple[UUID, bytes]:
    """The tenant and the hash of such a state; what is none is refused."""
    found = opaque.read(_STATE, state)
    if found is None:
        raise refused()
    return found


def make_arrival(tenant_id: UUID) -> tuple[str, bytes]:
    """What a page fetches its tokens with, and the hash that is kept of it."""
    return opaque.make(_ARRIVAL, tenant_id)


def read_arrival(token: str) -> tuple[UUID, bytes]:
    """The tenant and the hash of such a token; what is none is refused."""
    found = opaque.read(_ARRIVAL, token)
    if found is None:
        raise refused()
    return found


def make_browser() -> str:
    """What only the browser that began a sign-in has."""
    return secrets.token_urlsafe(32)


def browser_hash(browser: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(browser.encode()).digest()


def begin(provider_id: UUID, redirect_uri: str, return_to: str | None) -> Flow:
    """A new sign-in, with a nonce and a verifier (RFC 7636) of its own."""
    return Flow(provider_id, secrets.token_urlsafe(32), secrets.token_urlsafe(48), redirect_uri, return_to)


def begin_saml(provider_id: UUID, acs: str, return_to: str | None) -> Flow:
    """A new sign-in by SAML. Its answer comes by the form of another site, without cookies, so a page always waits."""
    return Flow(provider_id, f"_{secrets.token_hex(20)}", "", acs, return_to or "/")


def authorization_url(endpoint: str, it: Configuration, flow: Flow, state: str) -> str:
    """Where the browser goes to."""
    challenge = urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code", "client_id": it.client_id, "redirect_uri": flow.redirect_uri,
        "scope": " ".join(it.scopes), "state": state, "nonce": flow.nonce,
        "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"


def key_id(id_token: str, algorithm: Algorithm) -> str | None:
    """Which key an ID token says that it is signed with; another algorithm than the provider's is refused."""
    if len(id_token) > MAX_TOKEN:
        raise refused()
    try:
        header = jwt.get_unverified_header(id_token)
    except jwt.PyJWTError:
        raise refused() from None
    if header.get("alg") != algorithm:
        raise refused()
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None


def check_id_token(
    id_token: str, key: jwt.PyJWK, it: Configuration, nonce: str, access_token: str | None
) -> dict[str, Any]:
    """The claims of an ID token that is good (OpenID Connect Core 1.0 §3.1.3.7); any other is refused."""
    try:
        claims: dict[str, Any] = jwt.decode(
            id_token, key, algorithms=[it.algorithm], audience=it.client_id, issuer=it.issuer, leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError):
        raise refused() from None
    audience, party = claims["aud"], claims.get("azp")
    several = isinstance(audience, list) and len(audience) > 1
    good = (
        _same(claims["nonce"], nonce)
        and (party == it.client_id or (party is None and not several))
        and claims["exp"] > claims["iat"]
        and time.time() - claims["iat"] <= MAX_AGE_SECONDS + LEEWAY_SECONDS
        and isinstance(claims["sub"], str)
        and 0 < len(claims["sub"]) <= 255
        and ("at_hash" not in claims or _same(claims["at_hash"], _half_hash(access_token, it.algorithm)))
    )
    if not good:
        raise refused()
    return claims


def vouched(claims: Mapping[str, Any], it: Configuration) -> Vouched:
    """Whom the claims speak of."""
    email, name = claims.get("email"), claims.get("name")
    verified = isinstance(email, str) and claims.get("email_verified") is True
    address = people.normalize_email(email) if verified and isinstance(email, str) else None
    if address is not None and people.check_email(address):
        address = None
    if not isinstance(name, str) or people.check_name(name):
        name = None
    told = claims.get(it.role_claim) if it.role_claim else None
    listed = told if isinstance(told, list) else [told]
    methods = claims.get("amr")
    two = isinstance(methods, list) and any(isinstance(way, str) and way in _TWO_FACTORS for way in methods)
    claimed = tuple(value for value in listed[:1000] if isinstance(value, str))
    return Vouched(str(claims["sub"]), address, name.strip() if name else None, claimed, it.trusts_mfa and two)


def roles_for(it: Configuration, of: Vouched, before: Collection[UUID] | None) -> tuple[UUID, ...]:
    """The roles of a person from now on; `before` is None for a new one. Roles that no mapping names stay."""
    mapped = {it.role_mapping[value] for value in of.claimed if value in it.role_mapping}
    kept = set(it.default_roles) if before is None else set(before) - set(it.role_mapping.values())
    return tuple(sorted(mapped | kept))


def is_of(email: str, it: Configuration, proven: Collection[str]) -> bool:
    """Whether an address is of a domain that the provider speaks for, and that is the tenant's."""
    domain = email.rpartition("@")[2]
    return domain in it.email_domains and domain in proven


def refused(code: str = "sso-refused", detail: str | None = None) -> Unauthenticated:
    """What somebody is told who does not come in; by default the same, whatever is wrong."""
    return Unauthenticated(detail or "Signing in did not succeed; begin again", code=code)


def _half_hash(access_token: str | None, algorithm: Algorithm) -> str:
    name = _HASHES.get(algorithm[2:], "sha512")
    digest = hashlib.new(name, (access_token or "").encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def _same(told: object, expected: str) -> bool:
    return isinstance(told, str) and hmac.compare_digest(told.encode(), expected.encode())
